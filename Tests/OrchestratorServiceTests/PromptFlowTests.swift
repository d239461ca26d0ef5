import Contracts
import Foundation
import Synchronization
internal import TestSupport
import Testing

/// A prompt's way from governance to agents, and what became of their work back to governance.
@Suite struct `Prompt flow` {
    /// What agents were handed, in the order of attempts.
    private final class Handed: Sendable {
        private let items = Mutex<[WorkItem]>([])

        func add(_ item: WorkItem) { items.withLock { $0.append(item) } }

        var prompts: [String] {
            items.withLock { $0.map { "\($0.promptVersion.map(String.init) ?? "-") \($0.prompt ?? "-")" } }
        }
    }

    private static let done = AgentReport.Body.completed(output: .emptyObject, usage: nil)

    private static func propose(_ stack: OrchestratorUnderTest, _ content: String, base: Int) async throws {
        let body = JSONWriter.object {
            $0.field("role", "developer")
            $0.field("content", content)
            $0.field("base_version", base)
            $0.field("reason", "Learned.")
        }
        let token = try await stack.token(role: "operator", subject: "ada")
        let filed = try await stack.post("/governance/prompts", body.text, token: token)
        #expect(filed.status == 201, "\(filed.body)")
    }

    /// Submits tasks until one was handed the version.
    private static func submitUntil(
        _ version: Int, _ stack: OrchestratorUnderTest, replica: Int = 0
    ) async throws -> String {
        var task = ""
        try await eventually {
            task = try await stack.submit(replica: replica)
            try await eventually { try await stack.state(of: task) == "completed" }
            let shown = try await stack.get("/tasks/\(task)", token: stack.token())
            return shown.body.contains(#""prompt_version":\#(version),"#)
        }
        return task
    }

    @Test func `an approved prompt reaches agents through their leases, and the result keeps its version`()
        async throws
    {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let handed = Handed()
            try await stack.withAgent(work: { item in
                handed.add(item)
                return Self.done
            }) {
                let before = try await stack.submit()
                try await eventually { try await stack.state(of: before) == "completed" }
                #expect(handed.prompts == ["- -"])
                try await Self.propose(stack, "Be good.\n", base: 0)
                let task = try await Self.submitUntil(1, stack, replica: 1)
                #expect(handed.prompts.last == "1 Be good.\n")
                let events = try await stack.get("/tasks/\(task)/events", token: stack.token())
                let told = events.body.components(separatedBy: #""prompt_version":1"#).count - 1
                #expect(told == 2, "Dispatched and completed: \(events.body)")
                try await Self.propose(stack, "Be better.\n", base: 1)
                let ada = try await stack.token(role: "admin", subject: "grace")
                #expect(try await stack.post("/governance/prompts/2/approve", nil, token: ada).status == 200)
                _ = try await Self.submitUntil(2, stack)
                #expect(handed.prompts.last == "2 Be better.\n")
                let back = try await stack.post(
                    "/governance/prompts/1/activate", #"{"reason":"2 is worse."}"#, token: ada)
                #expect(back.status == 200)
                _ = try await Self.submitUntil(1, stack)
            }
        }
    }

    @Test func `what became of a version's tasks is counted`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await Self.propose(stack, "Be good.", base: 0)
            try await stack.withAgent(work: { item in
                switch item.input.text {
                case #""reject""#: return .rejected(reason: "no")
                case #""fail""#: return .failed(.init(code: "bad", message: "no", isRetryable: false))
                case #""retry""# where item.attempt == 1:
                    return .failed(.init(code: "busy", message: "later", isRetryable: true))
                default: return Self.done
                }
            }) {
                _ = try await Self.submitUntil(1, stack)
                let expected = ["reject": "rejected", "fail": "failed", "retry": "completed"]
                for (input, state) in expected {
                    let task = try await stack.submit(#"{"input":"\#(input)"}"#)
                    try await eventually { try await stack.state(of: task) == state }
                }
            }
            let shown = try await stack.get("/governance/prompts/1", token: stack.token(role: "operator"))
            let fields = try #require(try shown.json.fields?.first { $0.name == "outcomes" }?.value.fields)
            let counts = Dictionary(fields.map { ($0.name, $0.value.int ?? -1) }) { first, _ in first }
            #expect(counts["failed"] == 1 && counts["rejected"] == 1 && counts["retries"] == 1, "\(counts)")
            let completed = try #require(counts["completed"])
            #expect(completed >= 2 && counts["tasks"] == completed + 2, "\(counts)")
        }
    }

    @Test func `work that JetStream lost is derived again with the prompt it was handed with`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await Self.propose(stack, "Be good.", base: 0)
            try await stack.withAgent(work: { _ in Self.done }) { _ = try await Self.submitUntil(1, stack) }
            let task = try await stack.submit()
            try await eventually { try await stack.state(of: task) == "developing" }
            try await Self.propose(stack, "Be better.", base: 1)
            let admin = try await stack.token(role: "admin", subject: "grace")
            #expect(try await stack.post("/governance/prompts/2/approve", nil, token: admin).status == 200)
            try await stack.nats.crashAndLoseStore()
            let handed = Handed()
            try await stack.withAgent(work: { item in
                handed.add(item)
                return Self.done
            }) {
                try await eventually { try await stack.state(of: task) == "completed" }
            }
            #expect(handed.prompts.first == "1 Be good.", "\(handed.prompts)")
        }
    }
}
