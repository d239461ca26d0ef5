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

    @Test func `a review says who votes, or has the usual five`() throws {
        let work = #"{"name":"w","kind":"work","role":"r"}"#
        let usual = try Self.read(#"{"stages":[\#(work),{"name":"v","kind":"review"}]}"#).stages[1]
        let terms = try #require(ReviewTerms(seats: ReviewTerms.seatsDefault, quorum: ReviewTerms.quorumDefault))
        #expect(usual.kind == .review(terms) && usual.timeout == .seconds(180) && usual.role.text == "r")
        let own = """
            {"name":"v","kind":"review","quorum":0.6,"reviewers":[{"role":"a","weight":1},{"role":"b","weight":0.25}],\
            "timeout_seconds":9}
            """
        let read = try Self.read(#"{"stages":[\#(work),\#(own)]}"#)
        #expect(read.definition.text.contains(own))
        #expect(try Self.read(read.definition.text) == read)
    }

    @Test func `what every installation has could be written by a tenant too`() throws {
        for workflow in Workflow.builtIn {
            let read = try Workflow(name: workflow.name, version: 1, definition: workflow.definition)
            #expect(read == workflow)
        }
        #expect(Workflow.builtIn.map(\.name.text) == ["single", "reviewed", "gated", "code"])
    }

    private static func review(_ fields: String) -> String {
        #"{"stages":[{"name":"w","kind":"work","role":"r"},{"name":"v","kind":"review",\#(fields)}]}"#
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
        (review(#""quorum":2"#), "stages[1].reviewers"), (review(#""quorum":"all""#), "stages[1].quorum"),
        (review(#""reviewers":[]"#), "stages[1].reviewers"), (review(#""role":"r""#), "stages[1].role"),
        (review(#""reviewers":[{"role":"a"}]"#), "stages[1].reviewers[0].weight"),
        (review(#""reviewers":[{"role":"a","weight":1},{"role":"a","weight":1}]"#), "stages[1].reviewers"),
        (review(#""reviewers":[{"role":"a","weight":1,"name":"x"}]"#), "stages[1].reviewers[0].name"),
        (review(#""timeout_seconds":0"#), "stages[1].timeout_seconds"),
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
