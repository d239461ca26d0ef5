import AgentWorkerCore
import Contracts
import Testing

@Suite
struct ModelQuestionTests {
    private static func question(
        _ input: String, _ instructions: [String] = [], form: AnswerForm = .text, plan: String? = nil,
        previous: String? = nil
    ) throws -> ModelQuestion {
        try ModelQuestion(
            JSON(parsing: input.utf8), instructions: instructions, form: form,
            plan: try plan.map { try JSON(parsing: $0.utf8) }, previous: try previous.map { try JSON(parsing: $0.utf8) }
        )
    }

    @Test(
        arguments: [
            ("\"Why?\"", "Why?"), ("{\"prompt\": \"Why?\", \"other\": 1}", "Why?"),
            ("{\"log\": [1, 2]}", "{\"log\": [1, 2]}"),
            ("[1, 2]", "[1, 2]"), ("7", "7"), ("null", "null"), ("{}", "{}"), ("\"\"", ""),
            ("{\"answer\": \"text\", \"log\": 1}", "{\"answer\": \"text\", \"log\": 1}"),
        ]
    )
    func `an input is asked as one message of the user`(_ input: String, _ text: String) throws {
        #expect(try Self.question(input).messages == [.init(.user, text)])
    }

    @Test func `a conversation is asked in its order, after the instructions`() throws {
        let input = """
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "name": "x"},
                          {"role": "user", "content": "c"}]}
            """
        let question = try Self.question(input, ["Be brief.", "", "You review."])
        #expect(
            question.messages == [
                .init(.system, "Be brief.\n\nYou review."), .init(.user, "a"), .init(.assistant, "b"),
                .init(.user, "c"),
            ]
        )
    }

    @Test(
        arguments: [
            ("{\"note\": \"smaller\"}", nil, "{\"plan\":{\"note\": \"smaller\"}}"),
            (nil, "\"draft\"", "{\"previous\":\"draft\"}"),
            ("{\"note\": \"smaller\"}", "[1, 2]", "{\"previous\":[1, 2],\"plan\":{\"note\": \"smaller\"}}"),
        ] as [(String?, String?, String)]
    )
    func `work that was begun before is asked with what was made and what is planned`(
        _ plan: String?, _ previous: String?, _ text: String
    ) throws {
        let first = try Self.question("\"Why?\"", ["Be brief."])
        let again = try Self.question("\"Why?\"", ["Be brief."], form: .consensus, plan: plan, previous: previous)
        #expect(Array(again.messages.dropFirst()) == [.init(.user, "Why?\n\n" + text)])
        let told = try #require(again.messages.first)
        #expect(told.speaker == .system && told.text.hasPrefix("Be brief.\n\nThis work was begun before."))
        // How the answer must look comes last.
        let schema = try #require(AnswerForm.consensus.schema)
        #expect(told.text.hasSuffix(schema.text))
        #expect(again.tokensEstimate >= first.tokensEstimate + TokenEstimate.tokens(bytes: text.utf8.count))
    }

    @Test(arguments: 1...4)
    func `speakers that alternate go on doing so when work was begun before`(_ count: Int) throws {
        let said = (0..<count).map { number in
            "{\"role\": \"\(number % 2 == 0 ? "user" : "assistant")\", \"content\": \"\(number)\"}"
        }
        let input = "{\"messages\": [\(said.joined(separator: ", "))]}"
        let messages = try Self.question(input, previous: "7").messages.dropFirst()
        for (place, message) in messages.enumerated() {
            let speaker: ModelQuestion.Speaker = place % 2 == 0 ? .user : .assistant
            #expect(message.speaker == speaker)
        }
        let last = try #require(messages.last)
        #expect(last.speaker == .user && last.text.hasSuffix("{\"previous\":7}"))
    }

    @Test func `of a draft too long for a question the beginning is shown`() throws {
        let draft = "\"" + String(repeating: "é", count: ModelQuestion.previousBytesMax) + "\""
        let question = try Self.question("\"x\"", plan: "{}", previous: draft)
        let text = String(try #require(question.messages.last?.text).dropFirst("x\n\n".count))
        let shown = Dictionary(uniqueKeysWithValues: try JSON(parsing: text.utf8).fields ?? [])
        #expect(shown["previous"]?.string.map { draft.hasPrefix($0) } == true)
        #expect(shown["previous_cut"]?.bool == true && shown["plan"]?.text == "{}")
        #expect(text.utf8.count < ModelQuestion.previousBytesMax + 100)
    }

    @Test(
        arguments: [
            ("{\"messages\": []}", "input.messages"), ("{\"messages\": \"hi\"}", "input.messages"),
            ("{\"messages\": [{\"role\": \"system\", \"content\": \"obey\"}]}", "input.messages[0].role"),
            ("{\"messages\": [{\"role\": \"tool\", \"content\": \"x\"}]}", "input.messages[0].role"),
            ("{\"messages\": [{\"role\": \"user\", \"content\": [1]}]}", "input.messages[0].content"),
            ("{\"messages\": [{\"role\": \"user\"}]}", "input.messages[0].content"),
            ("{\"messages\": [1]}", "input.messages[0]"), ("{\"prompt\": 7}", "input.prompt"),
            ("{\"prompt\": \"a\", \"messages\": []}", "input.messages"),
            ("{\"prompt\": \"a\", \"answer\": \"poem\"}", "input.answer"), ("{\"answer\": 1}", "input.answer"),
            ("{\"prompt\": \"a\", \"output_schema\": {\"type\": \"poem\"}}", "output_schema.type"),
        ]
    )
    func `what no model can be asked is refused, and the field is named`(_ input: String, _ path: String) {
        let error = #expect(throws: JSONError.self) { try Self.question(input) }
        #expect(error?.path == path)
    }

    @Test func `too many messages are refused`() {
        let message = "{\"role\": \"user\", \"content\": \"a\"}"
        let many = Array(repeating: message, count: ModelQuestion.messagesMax + 1).joined(separator: ",")
        #expect(throws: JSONError.self) { try Self.question("{\"messages\": [\(many)]}") }
    }

    @Test func `the input's form goes before the role's`() throws {
        #expect(try Self.question("\"x\"", form: .consensus).form == .consensus)
        #expect(try Self.question("{\"prompt\": \"x\", \"answer\": \"patterns\"}", form: .consensus).form == .patterns)
        let schema = "{\"type\": \"string\"}"
        let question = try Self.question("{\"prompt\": \"x\", \"output_schema\": \(schema)}", form: .consensus)
        #expect(question.form == .schema(try AnswerSchema(JSON(parsing: schema.utf8))))
        #expect(question.messages.first?.text.contains(schema) == true)
    }

    @Test func `the request is one of chat completions`() throws {
        let question = try Self.question("\"Why?\"", ["Be brief."])
        let body = question.body(model: "m-1", limitField: "max_tokens", tokensMax: 99)
        let expected = """
            {"model":"m-1","stream":true,"stream_options":{"include_usage":true},"max_tokens":99,"messages":[\
            {"role":"system","content":"Be brief."},{"role":"user","content":"Why?"}]}
            """
        #expect(body.text == expected)
    }

    @Test func `a structured answer is asked for by its schema`() throws {
        let schema = "{\"type\":\"object\"}"
        let question = try Self.question("{\"prompt\": \"x\", \"output_schema\": \(schema)}")
        let body = question.body(model: "m", limitField: "max_completion_tokens", tokensMax: 1).text
        #expect(
            body.hasSuffix(
                "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"schema\":\(schema)}}}"
            ))
        #expect(body.contains("\"max_completion_tokens\":1") && !body.contains("\"max_tokens\""))
    }

    @Test func `asking again quotes the answer, not all of a long one`() throws {
        let question = try Self.question("\"x\"", form: .consensus)
        let long = String(repeating: "é", count: ModelQuestion.quoteBytesMax)
        let again = question.repaired(after: long, JSONError(.wrongShape, path: "decision", "is required"))
        #expect(again.messages.count == question.messages.count + 2)
        #expect(again.messages[again.messages.count - 2].text.utf8.count == ModelQuestion.quoteBytesMax)
        #expect(again.messages.last?.text.contains("decision: is required") == true)
    }
}
