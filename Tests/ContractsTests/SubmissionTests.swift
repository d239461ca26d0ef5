import Contracts
import Testing

@Suite struct `Task submission` {
    @Test func `an empty body means an empty single task`() throws {
        let submission = try TaskSubmission(json: JSON(parsing: "{}".utf8))
        #expect(submission == TaskSubmission(input: .emptyObject))
    }

    @Test func `everything a body can say is read`() throws {
        let body = #"""
            {"name":"Report 1","workflow":"single","project":"p","role":"tester","priority":9,"timeout_seconds":5,
             "max_attempts":2,"labels":{"repo":"a b"},"input":{"x":"test; DROP TABLE users;"}}
            """#
        let submission = try TaskSubmission(json: JSON(parsing: body.utf8))
        #expect(submission.name == "Report 1")
        #expect(submission.role == AgentRole("tester"))
        #expect(submission.priority == 9)
        #expect(submission.labels == ["repo": "a b"])
        #expect(submission.input.text == #"{"x":"test; DROP TABLE users;"}"#)
    }

    @Test(arguments: [
        (#"[]"#, ""), (#"{"name":"test; DROP TABLE users;"}"#, "name"), (#"{"name":7}"#, "name"),
        (#"{"role":"a.b"}"#, "role"), (#"{"role":"*"}"#, "role"), (#"{"role":"a b"}"#, "role"),
        (#"{"workflow":">"}"#, "workflow"), (#"{"priority":10}"#, "priority"), (#"{"priority":1.5}"#, "priority"),
        (#"{"timeout_seconds":0}"#, "timeout_seconds"), (#"{"labels":{"a":1}}"#, "labels"),
        (#"{"tenant":"other"}"#, "tenant"),
    ])
    func `what is wrong is named`(body: String, field: String) throws {
        let json = try JSON(parsing: body.utf8)
        #expect { try TaskSubmission(json: json) } throws: { ($0 as? JSONError)?.path == field }
    }

    @Test(arguments: ["a", "A-1_b", String(repeating: "x", count: 63)])
    func `names of the pattern are accepted`(text: String) { #expect(AgentRole(text)?.text == text) }

    @Test(arguments: ["", "-a", "_a", "a.b", "a*", ">", "a b", "ä", String(repeating: "x", count: 64), "a\u{0}"])
    func `names that could widen a subject are refused`(text: String) { #expect(AgentRole(text) == nil) }
}
