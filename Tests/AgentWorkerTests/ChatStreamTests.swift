import AgentWorkerCore
import Contracts
import Testing

@Suite
struct ChatStreamTests {
    private static let stream = """
        : keep-alive

        data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"model":"m-7"}

        data: \(ModelServer.chunk("Grüße, 世界 "))

        data: \(ModelServer.chunk("👩‍👩‍👧"))

        data: {"choices":[{"index":1,"delta":{"content":"not asked for"}}]}

        data: {"choices":[{"index":0,"delta":{"content":null},"finish_reason":"stop"}]}

        data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}

        data: [DONE]

        data: after the end

        """

    @Test func `an answer is the same wherever the bytes are cut`() throws {
        let bytes = Array((Self.stream + "\n").utf8)
        for cut in 0...bytes.count {
            var answer = ChatStream(isStream: true)
            try answer.read(bytes[..<cut])
            try answer.read(bytes[cut...])
            try answer.end()
            #expect(answer.text == "Grüße, 世界 👩‍👩‍👧" && answer.finish == .stop, "cut at \(cut)")
            #expect(answer.usageTokens == 7 && answer.model == "m-7" && answer.isDone)
        }
    }

    @Test(
        arguments: [
            ("{\"total_tokens\":7}", 7), ("{\"prompt_tokens\":3,\"completion_tokens\":4}", 7), ("{}", nil),
            ("null", nil),
            ("{\"total_tokens\":-1}", nil), ("{\"total_tokens\":99999999999999}", nil),
            ("{\"completion_tokens\":4}", 4),
            ("{\"total_tokens\":0}", 0),
        ]
    )
    func `usage is what the endpoint counted, when it is a number of tokens`(_ usage: String, _ tokens: Int?) throws {
        var answer = ChatStream(isStream: true)
        try answer.read("data: {\"choices\":[],\"usage\":\(usage)}\n\n".utf8)
        #expect(answer.usageTokens == tokens)
    }

    @Test(
        arguments: [
            ("stop", ChatStream.Finish.stop), ("length", .length), ("content_filter", .filtered),
            ("tool_calls", .other("tool_calls")),
        ]
    )
    func `the end says why`(_ word: String, _ finish: ChatStream.Finish) throws {
        var answer = ChatStream(isStream: true)
        try answer.read("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"\(word)\"}]}\n\n".utf8)
        try answer.end()
        #expect(answer.finish == finish && finish.word == word)
    }

    @Test(
        arguments: [
            "data: {\"choices\":[\n\n", "data: \"text\"\n\n", "data: {\"choices\":7}\n\n",
            "data: {\"choices\":[7]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":7}}]}\n\n", "data: {\"choices\":[{\"delta\":[]}]}\n\n",
            "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", "data: {\"error\":\"overloaded\"}\n\n",
            "data: \u{FFFD}\u{FFFD}\n\n", "data: [done]\n\n",
        ]
    )
    func `what is not of the format is refused`(_ text: String) throws {
        var answer = ChatStream(isStream: true)
        let failure = #expect(throws: ModelFailure.self) { try answer.read(text.utf8) }
        #expect(failure?.code == .badAnswer && failure?.isRetryable == true && failure?.isOutage == true)
    }

    @Test(arguments: ["", "data: \(ModelServer.chunk("half"))\n\n", "data: {\"choices\":[{\"delta\":{}"])
    func `an answer without an end is broken off`(_ text: String) throws {
        var answer = ChatStream(isStream: true)
        try answer.read(text.utf8)
        let failure = #expect(throws: ModelFailure.self) { try answer.end() }
        #expect(failure?.code == .streamBroken && failure?.isRetryable == true)
    }

    @Test func `a line without end is refused before it fills the memory`() throws {
        var answer = ChatStream(isStream: true)
        let failure = #expect(throws: ModelFailure.self) {
            for _ in 0..<300 { try answer.read([UInt8](repeating: UInt8(ascii: "x"), count: 1024)) }
        }
        #expect(failure?.code == .badAnswer)
    }

    @Test func `an answer without end is refused before it fills the memory`() throws {
        var answer = ChatStream(isStream: true)
        let piece = Array("data: \(ModelServer.chunk(String(repeating: "x", count: 60_000)))\n\n".utf8)
        var count = 0
        let failure = #expect(throws: ModelFailure.self) {
            for _ in 0..<1000 {
                try answer.read(piece)
                count += 1
            }
        }
        #expect(failure?.code == .outputTooLarge && failure?.isRetryable == false)
        #expect(count < 20)
    }

    @Test func `an answer that is no stream is read as one document`() throws {
        var answer = ChatStream(isStream: false)
        let text = """
            {"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi é"},"finish_reason":"stop"}],\
            "usage":{"total_tokens":9}}
            """
        for byte in text.utf8 { try answer.read([byte]) }
        try answer.end()
        #expect(answer.text == "Hi é" && answer.usageTokens == 9 && answer.finish == .stop)
    }

    @Test(arguments: ["", "{}", "{\"choices\":[]}", "<html>", "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}"])
    func `a document that is none is refused`(_ text: String) throws {
        var answer = ChatStream(isStream: false)
        try answer.read(text.utf8)
        #expect(throws: ModelFailure.self) { try answer.end() }
    }

    @Test(
        arguments: [
            (200, false, true, false), (204, false, true, false), (301, false, true, false), (307, false, true, false),
            (400, false, false, false), (401, false, false, false), (403, false, false, false),
            (404, false, false, false),
            (408, true, false, true), (409, true, false, true), (413, false, false, false), (422, false, false, false),
            (429, true, false, true), (500, true, true, true), (502, true, true, true), (503, true, true, true),
            (529, true, true, true), (599, true, true, true),
        ]
    )
    func `a status says what follows`(_ status: Int, _ isRetryable: Bool, _ isOutage: Bool, _ isRepeatable: Bool) {
        let failure = ModelFailure(status: status, said: "why", retryAfter: "7")
        #expect(failure.isRetryable == isRetryable, "\(status)")
        #expect(failure.isOutage == isOutage && failure.isRepeatable == isRepeatable, "\(status)")
        #expect(failure.retryAfterSeconds == (isRepeatable ? 7 : nil))
        #expect(failure.message.contains("why") == ((400..<600).contains(status) && status != 401 && status != 403))
    }

    @Test(arguments: [
        ("0", 0), ("-5", 0), ("99999", 3600), ("soon", nil), ("Wed, 21 Oct 2015 07:28:00 GMT", nil), ("", nil),
    ])
    func `the wish to wait is bounded`(_ header: String, _ seconds: Int?) {
        #expect(ModelFailure(status: 429, said: "", retryAfter: header).retryAfterSeconds == seconds)
    }

    @Test(
        arguments: [
            ("{\"error\":{\"message\":\"m\",\"type\":\"t\"}}", "m"), ("{\"error\":\"e\"}", "e"), ("{}", ""),
            ("<h1>Bad Gateway</h1>", "<h1>Bad Gateway</h1>"), ("", ""),
        ]
    )
    func `an error's words are found`(_ body: String, _ words: String) {
        #expect(ModelFailure.words(of: Array(body.utf8)) == words)
    }
}
