import Contracts
import Foundation
import MessageBus
import Storage
import SupervisorCore
import Synchronization
import Testing

/// Whatever is killed, repeated or forged, an escalation is resolved once, and as somebody with the right decided.
@Suite(.timeLimit(.minutes(5))) struct `Resolved once` {
    static let busy = AgentReport.Body.failed(.init(code: "busy", message: "try later", isRetryable: true))

    /// Fails until it is told how others failed.
    static func developer(_ item: WorkItem) -> AgentReport.Body {
        item.plan?.text.contains("failed_with") == true ? .completed(output: .null, usage: nil) : busy
    }

    /// A supervisor that decides, and is gone before it can say so.
    static func decideAndDie(_ test: SupervisorUnderTest) async throws -> [MetEscalation] {
        let store = SupervisionStore(pool: test.pool, times: SupervisionTimes())
        return try await store.meet(
            try await Self.open(test), limit: 100,
            ticket: { AnalysisTicket(work: TaskID(UUID()), token: "t") }
        ) { SupervisorRules(automaticMax: 2).plan(for: $0) }
    }

    private static func open(_ test: SupervisorUnderTest) async throws -> [EscalationID] {
        try await test.sql("SELECT id FROM escalations WHERE status = 'open'").split(separator: "\n")
            .compactMap { EscalationID($0) }
    }

    @Test func `a decision that was never said is carried out once by others`() async throws {
        try await SupervisorUnderTest.run(supervisors: 0) { test in
            try await test.withAgent("developer", work: { Self.developer($0) }) {
                let task = try await test.submit()
                try await eventually { try await test.state(of: task) == "escalated" }
                let met = try await Self.decideAndDie(test)
                #expect(met.count == 1 && met[0].plan.classification == .processIssue)
                #expect(try await Self.decideAndDie(test).isEmpty, "It is decided once.")
                let others = [try await test.supervisor(), try await test.supervisor()]
                try await eventually { try await test.state(of: task) == "completed" }
                #expect(try await test.sql("SELECT count(*) FROM task_events WHERE kind = 'task.resolved'") == "1")
                #expect(try await test.escalations(of: task).map { $0.outcome?.by } == ["supervisor"])
                for other in others { await other.stop() }
            }
        }
    }

    @Test func `supervisors killed at random, messages repeated, each escalation is resolved once`() async throws {
        try await SupervisorUnderTest.run(supervisors: 0) { test in
            let count = 40
            try await test.withAgent("developer", work: { Self.developer($0) }) {
                var replicas = [try await test.supervisor(), try await test.supervisor()]
                var tasks: [String] = []
                for number in 0..<count {
                    tasks.append(try await test.submit())
                    guard number % 10 == 9 else { continue }
                    try await Self.repeatMessages(test, round: number)
                    await replicas.removeFirst().kill()
                    replicas.append(try await test.supervisor())
                }
                for task in tasks { try await eventually { try await test.state(of: task) == "completed" } }
                try await Self.repeatMessages(test, round: count)
                let resolved = "SELECT count(*), count(DISTINCT task_id) FROM task_events WHERE kind = 'task.resolved'"
                #expect(try await test.sql(resolved) == "\(count)|\(count)")
                let ends = "SELECT count(*), count(DISTINCT task_id) FROM task_events WHERE kind = 'task.completed'"
                #expect(try await test.sql(ends) == "\(count)|\(count)")
                let rows = "SELECT DISTINCT status, resolution, resolved_by, decision_rule FROM escalations"
                #expect(try await test.sql(rows) == "resolved|rework|supervisor|retry")
                for replica in replicas { await replica.stop() }
            }
        }
    }

    /// Everything that was said is said again, under other ids.
    private static func repeatMessages(_ test: SupervisorUnderTest, round: Int) async throws {
        let rows = try await test.sql("SELECT id, task_id FROM escalations")
        for row in rows.split(separator: "\n") {
            let ids = row.split(separator: "|")
            guard let id = EscalationID(ids[0]), let task = TaskID(ids[1]) else { continue }
            let tenant = TenantID(literal: "acme")
            let notice = EscalationNotice(
                escalation: id, tenant: tenant, task: task, attempt: 1, role: AgentRole(literal: "developer"),
                source: "failure", failedGuard: nil)
            let resolution = ResolutionNotice(
                escalation: id, tenant: tenant, task: task, resolution: .retry(plan: nil))
            _ = try await test.bus.publish(notice, on: .escalations, id: "again.\(id).\(round)")
            _ = try await test.bus.publish(resolution, on: .resolution(task), id: "again.\(id).r\(round)")
        }
    }

    @Test func `a forged resolution does nothing, and a human is faster than a rule`() async throws {
        try await SupervisorUnderTest.run(supervisors: 0) { test in
            try await test.withAgent("developer", work: { Self.developer($0) }) {
                let task = try await test.submit()
                try await eventually { try await test.state(of: task) == "escalated" }
                let id = try #require(try await test.escalations(of: task).first?.id)
                let subject = try #require(TaskID(task))
                let forged: [Resolution] = [.approve, .cancel(reason: "by eve"), .retry(plan: nil)]
                for (number, resolution) in forged.enumerated() {
                    let notice = ResolutionNotice(
                        escalation: id, tenant: TenantID(literal: "acme"), task: subject, resolution: resolution)
                    _ = try await test.bus.publish(notice, on: .resolution(subject), id: "forged-\(number)")
                }
                // Orchestrators take these in order: what comes after them was looked at after them.
                let other = try await test.submit()
                try await eventually { try await test.state(of: other) == "escalated" }
                _ = try await Self.decideAndDie(test)
                let human = try await test.post(
                    "/escalations/\(id)/resolve", #"{"resolution":"reject","reason":"no"}"#, role: "operator")
                #expect(human.status == 200 && human["state"] == "resolved", "\(human.body)")
                let supervisor = try await test.supervisor()
                try await eventually { try await test.state(of: other) == "completed" }
                #expect(try await test.state(of: task) == "rejected")
                #expect(try await test.escalations(of: task).map { $0.outcome?.by } == ["tester"])
                let events = "SELECT count(*) FROM task_events WHERE kind = 'task.resolved' AND task_id = '\(task)'"
                #expect(try await test.sql(events) == "1")
                await supervisor.stop()
            }
        }
    }

    @Test func `what a task cannot take goes to a human`() async throws {
        try await SupervisorUnderTest.run(supervisors: 0) { test in
            try await test.withAgent("developer", work: { Self.developer($0) }) {
                let task = try await test.submit(#"{"workflow":"careful","budget_tokens":100}"#)
                try await eventually { try await test.state(of: task) == "escalated" }
                _ = try await Self.decideAndDie(test)
                _ = try await test.sql("UPDATE tasks SET usage_tokens = 100 WHERE id = '\(task)'")
                let alerts = try test.bus.subscribe(.allAlerts)
                let supervisor = try await test.supervisor()
                try await eventually { try await test.escalations(of: task).first?.status == .waitingForHuman }
                let waiting = try #require(try await test.escalations(of: task).first)
                #expect(waiting.handling.humanReason == "refused_by_task")
                let heard = await alerts.first { _ in true }
                #expect(heard?.escalation == waiting.id && heard?.severity == .info)
                #expect(heard?.summary.contains("refused_by_task") == true)
                #expect(try await test.state(of: task) == "escalated")
                await supervisor.stop()
            }
        }
    }

    @Test func `a task that fails again and again is left to a human after two resolutions`() async throws {
        try await SupervisorUnderTest.run(supervisors: 2) { test in
            let attempts = AttemptCount()
            try await test.withAgent(
                "developer",
                work: { item in
                    attempts.add()
                    // Another code each time: to the rules it is another trouble.
                    let code = "busy_\(item.attempt)"
                    return .failed(.init(code: code, message: "x", isRetryable: true))
                }
            ) {
                let task = try await test.submit()
                try await eventually {
                    try await test.escalations(of: task).first?.handling.humanReason == "automatic_used_up"
                }
                #expect(try await test.escalations(of: task).count == 3 && attempts.value == 3)
            }
        }
    }
}

private final class AttemptCount: Sendable {
    private let count = Mutex(0)

    func add() { count.withLock { $0 += 1 } }

    var value: Int { count.withLock { $0 } }
}
