import Contracts
import Testing

/// What a tenant may say a workflow is.
@Suite struct `Workflow definitions` {
    static func read(_ text: String) throws -> Workflow {
        try Workflow(name: WorkflowName(literal: "mine"), version: 3, definition: try JSON(parsing: text.utf8))
    }

    @Test func `defaults are filled in and written out`() throws {
        let short = #"{"stages":[{"name":"w","kind":"work","role":"developer"},{"name":"a","kind":"approve"}]}"#
        let workflow = try Self.read(short)
        #expect(workflow.stages.map(\.kind) == [.work(state: .developing), .approve])
        #expect(workflow.stages.map(\.timeout) == [.seconds(600), .seconds(86_400)])
        #expect(workflow.stages[0].attemptMax == 5 && !workflow.escalatesOnFailure)
        #expect(workflow.stages[1].role.text == "developer", "Those whose work is judged.")
        #expect(try Self.read(workflow.definition.text) == workflow)
    }

    @Test func `everything that may be said is kept`() throws {
        let text = """
            {"stages":[{"name":"w","kind":"work","role":"r","state":"deploying","max_attempts":2,"guards":\
            ["has_tests","performance_ok"],"timeout_seconds":7},{"name":"a","kind":"approve","timeout_seconds":2592000}\
            ],"escalate_on_failure":true}
            """
        #expect(try Self.read(text).definition.text == text)
    }

    static let refusals: [(String, String)] = [
        ("{}", "stages"), (#"{"stages":[]}"#, "stages"), (#"{"stages":{}}"#, "stages"), ("[]", ""),
        (#"{"stages":[{"name":"a","kind":"approve"}]}"#, "stages[0].kind"),
        (#"{"stages":[{"name":"a","kind":"review"}]}"#, "stages[0].kind"),
        (#"{"stages":[{"name":"w","kind":"work"}]}"#, "stages[0].role"),
        (#"{"stages":[{"name":"w w","kind":"work","role":"r"}]}"#, "stages[0].name"),
        (#"{"stages":[{"name":"w","kind":"work","role":"r.*"}]}"#, "stages[0].role"),
        (#"{"stages":[{"name":"w","kind":"work","role":"r","timeout_seconds":0}]}"#, "stages[0].timeout_seconds"),
        (#"{"stages":[{"name":"w","kind":"work","role":"r","timeout_seconds":86401}]}"#, "stages[0].timeout_seconds"),
        (#"{"stages":[{"name":"w","kind":"work","role":"r","max_attempts":21}]}"#, "stages[0].max_attempts"),
        (#"{"stages":[{"name":"w","kind":"work","role":"r","state":"reviewing"}]}"#, "stages[0].state"),
        (#"{"stages":[{"name":"w","kind":"work","role":"r","guards":["is_fun"]}]}"#, "stages[0].guards"),
        (
            #"{"stages":[{"name":"w","kind":"work","role":"r","guards":["has_tests","has_tests"]}]}"#,
            "stages[0].guards"
        ),
        (#"{"stages":[{"name":"w","kind":"work","role":"r","weight":1}]}"#, "stages[0].weight"),
        (
            #"{"stages":[{"name":"w","kind":"work","role":"r"},{"name":"w","kind":"approve"}]}"#, "stages[1].name"
        ),
        (
            #"{"stages":[{"name":"w","kind":"work","role":"r"},{"name":"a","kind":"approve","role":"r"}]}"#,
            "stages[1].role"
        ),
        (#"{"stages":[{"name":"w","kind":"work","role":"r"}],"owner":"me"}"#, "owner"),
        (#"{"stages":[{"name":"w","kind":"work","role":"r"}],"escalate_on_failure":"no"}"#, "escalate_on_failure"),
    ]

    @Test(arguments: refusals.indices)
    func `what no task could go through is refused by name`(index: Int) throws {
        let (text, path) = Self.refusals[index]
        let error = #expect(throws: JSONError.self, "\(text)") { try Self.read(text) }
        #expect(error?.path == path, "\(text)")
    }

    @Test func `a workflow has at most ten stages`() throws {
        func stages(_ count: Int) -> String {
            let all = (0..<count).map { #"{"name":"w\#($0)","kind":"work","role":"r"}"# }
            return #"{"stages":[\#(all.joined(separator: ","))]}"#
        }
        #expect(try Self.read(stages(10)).stages.count == 10)
        #expect(throws: JSONError.self) { try Self.read(stages(11)) }
    }
}
