import Contracts
import Foundation
import MessageBus
import TestSupport
import Testing

/// Work that lies in the stream for agents that never come.
@Suite struct `Untaken work` {
    private static let lost = AgentRole(literal: "lost")
    private static let waiting = AgentRole(literal: "waiting")

    @Test func `work of a role without agents is derived again when it is lost, and only then`() async throws {
        try await OrchestratorUnderTest.run { stack in
            for role in [Self.lost, Self.waiting] {
                let task = try await stack.submit(#"{"role":"\#(role)"}"#)
                try await eventually { try await stack.state(of: task) == "developing" }
            }
            try await stack.withBus { bus in
                try await eventually { try await bus.workHeld() == [Self.lost: 1, Self.waiting: 1] }
                _ = try await stack.sql("UPDATE tasks SET dispatched_at = now() - interval '1 minute'")
                for _ in 0..<2 {
                    // The first role's, by its name.
                    let tomorrow = Date().addingTimeInterval(86_400)
                    #expect(try await bus.dropOverdueWork(now: tomorrow, limit: 1) == 1)
                    try await eventually { try await bus.workHeld()[Self.lost] != nil }
                }
                #expect(try await bus.workHeld()[Self.waiting] == 1)
            }
        }
    }

    @Test func `work of a role without agents is shown as waiting, like any consumer's`() async throws {
        try await OrchestratorUnderTest.run { stack in
            _ = try await stack.submit(#"{"role":"waiting"}"#)
            let labels = #"{stream="WORK",consumer="work-waiting"}"#
            func shows(_ lines: String...) async throws -> Bool {
                let metrics = try await stack.get("/metrics", token: nil).body
                return lines.allSatisfy { metrics.contains("\n\($0)\n") }
            }
            try await eventually {
                try await shows(
                    "jetstream_consumer_pending\(labels) 1", "jetstream_consumer_ack_pending\(labels) 0",
                    "jetstream_consumer_delivered\(labels) 0")
            }
            // An agent makes the consumer, whose own numbers take over.
            try await stack.withAgent(role: "waiting", work: { _ in .completed(output: .null, usage: nil) }) {
                try await eventually {
                    try await shows(
                        "jetstream_consumer_pending\(labels) 0", "jetstream_consumer_delivered\(labels) 1")
                }
            }
        }
    }

    @Test func `work that nobody took before its deadline leaves the stream`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let item = WorkItem(
                task: TaskID(UUID()), tenant: TenantID(literal: "acme"), workflow: WorkflowName(literal: "single"),
                stage: "work", kind: "work", role: Self.waiting, attempt: 1, leaseToken: "token",
                deadline: Date().addingTimeInterval(-3600), input: .emptyObject)
            try await stack.withBus { bus in
                _ = try await bus.publish(item, on: .work(Self.waiting), id: nil)
                // The leading replica looks every half minute.
                try await eventually(within: .seconds(120)) { try await bus.workHeld()[Self.waiting] == nil }
            }
        }
    }
}
