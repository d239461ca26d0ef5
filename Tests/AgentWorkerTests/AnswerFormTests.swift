import AgentWorkerCore
import Contracts
import Testing

@Suite
struct AnswerFormTests {
    private static func steps(_ count: Int) -> String {
        let step = "{\"priority\":1,\"type\":\"fix\",\"issue\":\"12345\",\"agent\":\"me\"}"
        return "{\"steps\":[\(Array(repeating: step, count: count).joined(separator: ","))]}"
    }

    private static func step(_ priority: String = "1", _ type: String = "fix", issue: Int = 5, agent: Int = 2) -> String
    {
        "{\"steps\":[{\"priority\":\(priority),\"type\":\"\(type)\",\"issue\":\"\(text(issue))\","
            + "\"agent\":\"\(text(agent))\"}]}"
    }

    private static func patterns(_ count: Int, signature: Int = 1, kind: String = "skill_gap", words: Int = 1) -> String
    {
        let pattern =
            "{\"signature\":\"\(text(signature))\",\"classification\":\"\(kind)\",\"description\":\"\(text(words))\"}"
        return "{\"patterns\":[\(Array(repeating: pattern, count: count).joined(separator: ","))]}"
    }

    private static func consensus(_ decision: String = "approve", _ confidence: String = "0.5", words: Int = 1)
        -> String
    {
        "{\"decision\":\"\(decision)\",\"confidence\":\(confidence),\"reasoning\":\"\(text(words))\"}"
    }

    private static func concern(
        line: String = "1", rule: Int = 1, severity: String = "low", message: Int = 1, fix: Int = 0, file: Int = 0
    ) -> String {
        "{\"file\":\"\(text(file))\",\"line\":\(line),\"rule\":\"\(text(rule))\",\"severity\":\"\(severity)\","
            + "\"message\":\"\(text(message))\",\"fix\":\"\(text(fix))\"}"
    }

    private static func vote(_ choice: String = "reject", _ concerns: [String] = [], words: Int = 1) -> String {
        "{\"vote\":\"\(choice)\",\"concerns\":[\(concerns.joined(separator: ","))],\"rationale\":\"\(text(words))\"}"
    }

    private static func text(_ count: Int) -> String { String(repeating: "é", count: count) }

    private static let fitting: [(AnswerForm, String)] = [
        (.synthesis, steps(1)), (.synthesis, steps(50)), (.synthesis, step("100", "review", issue: 1000, agent: 100)),
        (.patterns, patterns(0)), (.patterns, patterns(20)),
        (.patterns, patterns(1, signature: 200, kind: "process_issue", words: 2000)),
        (.consensus, consensus()), (.consensus, consensus("abstain", "0", words: 0)),
        (.consensus, consensus("reject", "1", words: 2000)), (.consensus, consensus("conditional", "1.0")),
        (.vote, vote("approve")), (.vote, vote("conditional", [concern()])), (.vote, vote("abstain", words: 2048)),
        (.vote, vote("reject", Array(repeating: concern(line: "1000000", severity: "high"), count: 50))),
        (.vote, vote("reject", [concern(rule: 60, severity: "medium", message: 400, fix: 400, file: 300)])),
    ]

    private static let unfitting: [(AnswerForm, String, String)] = [
        (.synthesis, steps(0), "steps"), (.synthesis, steps(51), "steps"), (.synthesis, "{}", "steps"),
        (.synthesis, "{\"steps\":{}}", "steps"), (.synthesis, "{\"steps\":[7]}", "steps[0]"),
        (.synthesis, step("0"), "steps[0].priority"), (.synthesis, step("101"), "steps[0].priority"),
        (.synthesis, step("1.5"), "steps[0].priority"), (.synthesis, step("\"1\""), "steps[0].priority"),
        (.synthesis, step("1", "delete"), "steps[0].type"), (.synthesis, step(issue: 4), "steps[0].issue"),
        (.synthesis, step(issue: 1001), "steps[0].issue"), (.synthesis, step(agent: 1), "steps[0].agent"),
        (.synthesis, step(agent: 101), "steps[0].agent"),
        (.synthesis, steps(1).replacing("\"agent\"", with: "\"more\":1,\"agent\""), "steps[0].more"),
        (.synthesis, steps(1).replacing("{\"steps\"", with: "{\"note\":1,\"steps\""), "note"),
        (.patterns, patterns(21), "patterns"), (.patterns, patterns(1, signature: 0), "patterns[0].signature"),
        (.patterns, patterns(1, signature: 201), "patterns[0].signature"),
        (.patterns, patterns(1, kind: "other"), "patterns[0].classification"),
        (.patterns, patterns(1, words: 2001), "patterns[0].description"), (.patterns, "[]", ""),
        (.consensus, consensus("maybe"), "decision"), (.consensus, consensus("approve", "1.01"), "confidence"),
        (.consensus, consensus("approve", "-0.1"), "confidence"),
        (.consensus, consensus("approve", "\"0.5\""), "confidence"),
        (.consensus, consensus("approve", "1e999"), "confidence"),
        (.consensus, consensus(words: 2001), "reasoning"), (.consensus, "null", ""), (.consensus, "\"approve\"", ""),
        (.vote, vote("veto"), "vote"), (.vote, vote(words: 0), "rationale"), (.vote, vote(words: 4097), "rationale"),
        (.vote, "{\"vote\":\"approve\",\"rationale\":\"x\"}", "concerns"),
        (.vote, vote("reject", Array(repeating: concern(), count: 51)), "concerns"),
        (.vote, vote("reject", ["\"line 12\""]), "concerns[0]"),
        (.vote, vote("reject", [concern(line: "0")]), "concerns[0].line"),
        (.vote, vote("reject", [concern(line: "1000001")]), "concerns[0].line"),
        (.vote, vote("reject", [concern(line: "\"1\"")]), "concerns[0].line"),
        (.vote, vote("reject", [concern(rule: 0)]), "concerns[0].rule"),
        (.vote, vote("reject", [concern(rule: 61)]), "concerns[0].rule"),
        (.vote, vote("reject", [concern(severity: "critical")]), "concerns[0].severity"),
        (.vote, vote("reject", [concern(message: 0)]), "concerns[0].message"),
        (.vote, vote("reject", [concern(message: 401)]), "concerns[0].message"),
        (.vote, vote("reject", [concern(fix: 401)]), "concerns[0].fix"),
        (.vote, vote("reject", [concern(file: 301)]), "concerns[0].file"),
        (.vote, vote("approve").replacing("{\"vote\"", with: "{\"weight\":1,\"vote\""), "weight"),
    ]

    @Test(arguments: fitting)
    private func `an answer within its bounds is the output, byte for byte`(_ form: AnswerForm, _ text: String) throws {
        #expect(try form.read(text).text == text)
    }

    @Test(arguments: unfitting)
    private func `an answer beyond its bounds is refused, and the place is named`(
        _ form: AnswerForm, _ text: String, _ path: String
    ) throws {
        let error = #expect(throws: JSONError.self) { try form.read(text) }
        #expect(error?.path == path)
    }

    @Test func `a vote is bounded in bytes as the peer hub bounds it`() throws {
        // Of characters there are few enough.
        let error = #expect(throws: JSONError.self) { try AnswerForm.vote.read(Self.vote(words: 2049)) }
        #expect(error?.path == "rationale")
        let many = Array(repeating: Self.concern(message: 400, fix: 400), count: 50)
        let other = #expect(throws: JSONError.self) { try AnswerForm.vote.read(Self.vote("reject", many)) }
        #expect(other?.path == "concerns")
    }

    @Test(arguments: fitting)
    private func `what a model votes is what the peer hub takes`(_ form: AnswerForm, _ text: String) throws {
        guard form == .vote else { return }
        var reader = try JSONReader(try form.read(text))
        _ = try VoteBody(from: &reader)
    }

    @Test(arguments: fitting)
    private func `what the model is told allows what is accepted`(_ form: AnswerForm, _ text: String) throws {
        try AnswerSchema(#require(form.schema)).check(JSON(parsing: text.utf8))
    }

    @Test(arguments: unfitting)
    private func `what the model is told forbids what is refused`(
        _ form: AnswerForm, _ text: String, _ path: String
    ) throws {
        let schema = try AnswerSchema(#require(form.schema))
        #expect(throws: JSONError.self) { try schema.check(JSON(parsing: text.utf8)) }
    }

    @Test(
        arguments: [
            ("```json\n{}\n```", "{}"), ("```\n{}\n```", "{}"), ("  \n```json\r\n{}\r\n```\n ", "{}"), (" {} ", "{}"),
        ]
    )
    func `a fence around the whole answer is taken off`(_ text: String, _ value: String) throws {
        let anything = AnswerForm.schema(try AnswerSchema(JSON(parsing: "{}".utf8)))
        #expect(try anything.read(text).text == value)
    }

    @Test(
        arguments: [
            "Here it is: {}", "{} I hope this helps.", "```json\n{}\n``` Done.", "```yaml\n{}\n```", "```json {} ```",
            "```\n```", "``````", "``` ```", "```json\n```json\n{}\n```\n```", "", "```", "{}{}", "{\"a\":1,\"a\":2}",
        ]
    )
    func `words around the value make it no answer`(_ text: String) throws {
        let anything = AnswerForm.schema(try AnswerSchema(JSON(parsing: "{}".utf8)))
        #expect(throws: JSONError.self) { try anything.read(text) }
    }

    @Test func `text is kept as it is, with its model and its end`() throws {
        var stream = ChatStream(isStream: true)
        try stream.read("data: \(ModelServer.chunk("```json\n\u{1}é"))\n\n".utf8)
        try stream.read("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n".utf8)
        let output = try AnswerForm.text.output(of: stream)
        #expect(output.text == "{\"text\":\"```json\\n\\u0001é\",\"model\":\"model-1\",\"finish_reason\":\"length\"}")
    }
}
