import Contracts
import Foundation
import Storage
import Synchronization
internal import TestSupport
import Testing

/// Tasks that cannot go on by themselves, and what people make of them.
@Suite struct `Escalations over HTTP` {
    static let failure = AgentReport.Body.failed(.init(code: "stuck", message: "no way", isRetryable: false))

    /// Escalates one task of acme, whose agent fails whenever it is given no plan, and hands it on.
    private static func withEscalation(
        _ body: @escaping @Sendable (OrchestratorUnderTest, String, String) async throws -> Void
    ) async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            #expect(try await stack.put("/workflows/careful", `Workflows over HTTP`.escalating).status == 201)
            try await stack.withAgent(work: { item in
                item.plan == nil ? failure : .completed(output: item.plan ?? .null, usage: nil)
            }) {
                let task = try await stack.submit(#"{"workflow":"careful"}"#)
                try await eventually { try await stack.state(of: task) == "escalated" }
                let shown = try await stack.get("/tasks/\(task)", token: stack.token())
                try await body(stack, task, try #require(shown["escalation_id"]))
            }
        }
    }

    @Test func `a failure is filed with its task and shown to its tenant`() async throws {
        try await Self.withEscalation { stack, task, id in
            let shown = try await stack.get("/escalations/\(id)", replica: 1, token: stack.token())
            #expect(shown.status == 200 && shown["task_id"] == task && shown["state"] == "open", "\(shown.body)")
            #expect(shown["source"] == "failure" && shown["reason"] == "stuck: no way")
            #expect(shown["classification"] == "skill_gap" && shown["role"] == "developer")
            let list = try await stack.get("/escalations?state=open&task=\(task)", token: stack.token())
            #expect(list.body.contains(id))
            let none = try await stack.get("/escalations?state=resolved", token: stack.token())
            #expect(none.body == #"{"escalations":[]}"#)
            let stranger = try await stack.token(role: "admin", tenant: "beta")
            #expect(try await stack.get("/escalations/\(id)", token: stranger).status == 404)
            #expect(try await stack.get("/escalations", token: stranger).body == #"{"escalations":[]}"#)
            let foreign = try await stack.post(
                "/escalations/\(id)/resolve", #"{"resolution":"retry"}"#, token: stranger)
            #expect(foreign.status == 404)
            let developer = try await stack.post(
                "/escalations/\(id)/resolve", #"{"resolution":"retry"}"#, token: stack.token())
            #expect(developer.status == 403)
        }
    }

    @Test func `a retry hands the plan to the agent and the task completes`() async throws {
        try await Self.withEscalation { stack, task, id in
            let resolved = try await stack.resolve(id, #"{"resolution":"retry","plan":{"note":"use the other door"}}"#)
            #expect(resolved.status == 200 && resolved["state"] == "resolved", "\(resolved.body)")
            #expect(resolved["resolution"] == "retry" && resolved["resolved_by"] == "tester")
            try await eventually { try await stack.state(of: task) == "completed" }
            let done = try await stack.get("/tasks/\(task)", token: stack.token())
            #expect(done.body.contains(#""output":{"note":"use the other door"}"#), "\(done.body)")
            let again = try await stack.resolve(id, #"{"resolution":"cancel"}"#)
            #expect(again.status == 409 && again["code"] == "conflict", "\(again.body)")
        }
    }

    @Test func `another role may do it, and a second failure is a second escalation`() async throws {
        try await Self.withEscalation { stack, task, id in
            try await stack.withAgent(role: "architect", work: { _ in Self.failure }) {
                #expect(try await stack.resolve(id, #"{"resolution":"reassign","role":"architect"}"#).status == 200)
                try await eventually {
                    try await stack.sql("SELECT count(*) FROM escalations WHERE status = 'open'") == "1"
                }
            }
            let second = try #require(try await stack.get("/tasks/\(task)", token: stack.token())["escalation_id"])
            #expect(second != id)
            #expect(try await stack.get("/escalations/\(second)", token: stack.token())["role"] == "architect")
            #expect(try await stack.resolve(id, #"{"resolution":"retry"}"#).status == 409, "The old one is over.")
        }
    }

    @Test func `an agent asks how to go on, and a human's answer goes to the next`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.withAgent(work: { item in
                item.plan == nil
                    ? .escalated(reason: "Whose incident is it?") : .completed(output: item.plan ?? .null, usage: nil)
            }) {
                // In a workflow that does not escalate failures either.
                let task = try await stack.submit("{}")
                try await eventually { try await stack.state(of: task) == "escalated" }
                let id = try #require(try await stack.get("/tasks/\(task)", token: stack.token())["escalation_id"])
                let shown = try await stack.get("/escalations/\(id)", token: stack.token())
                #expect(shown["source"] == "agent" && shown["classification"] == "process_issue", "\(shown.body)")
                #expect(shown["reason"] == "Whose incident is it?")
                let answer = #"{"resolution":"retry","plan":{"note":"the first customer's"}}"#
                #expect(try await stack.resolve(id, answer).status == 200)
                try await eventually { try await stack.state(of: task) == "completed" }
                let done = try await stack.get("/tasks/\(task)", token: stack.token())
                #expect(done.body.contains(#""output":{"note":"the first customer's"}"#), "\(done.body)")
            }
        }
    }

    @Test func `a dead letter that holds the attempt's lease escalates its task, once; others do nothing`() async throws
    {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let items = Mutex<[WorkItem]>([])
            // Takes work and never reports.
            try await stack.withAgent(work: { item in
                items.withLock { $0.append(item) }
                return nil
            }) {
                let task = try await stack.submit("{}")
                try await eventually { items.withLock { $0.count } == 1 }
                let first = items.withLock { $0[0] }
                try await stack.bury(first, token: "guess")
                try await stack.bury(first, payload: "no JSON at all")
                try await stack.bury(first, attempt: 7)
                // As a consumer does that cannot read a report.
                try await stack.bury(first)
                try await eventually { try await stack.state(of: task) == "escalated" }
                let id = try #require(try await stack.get("/tasks/\(task)", token: stack.token())["escalation_id"])
                let shown = try await stack.get("/escalations/\(id)", token: stack.token())
                #expect(shown["source"] == "dead_letter", "\(shown.body)")
                #expect(shown["reason"]?.contains("undecodable") == true)
                #expect(try await stack.resolve(id, #"{"resolution":"retry"}"#).status == 200)
                try await eventually { items.withLock { $0.count } == 2 }
                // Once per task: what comes of the second attempt is left to its deadline.
                try await stack.bury(items.withLock { $0[1] })
                let other = try await stack.submit("{}")
                try await eventually { items.withLock { $0.count } == 3 }
                try await stack.bury(items.withLock { $0[2] })
                try await eventually { try await stack.state(of: other) == "escalated" }
                #expect(try await stack.state(of: task) == "developing")
                #expect(try await stack.sql("SELECT count(*) FROM escalations") == "2")
            }
        }
    }

    @Test func `a person's no ends the task, as does its cancellation`() async throws {
        try await Self.withEscalation { stack, task, id in
            let refused: [(String, Int)] = [
                ("{}", 422), (#"{"resolution":"forget"}"#, 422), (#"{"resolution":"reject"}"#, 422),
                (#"{"resolution":"reassign"}"#, 422), (#"{"resolution":"retry","role":"r"}"#, 422),
                (#"{"resolution":"approve","plan":{}}"#, 422), (#"{"resolution":"retry","reason":"r"}"#, 422),
                (#"{"resolution":"retry","plan":"\#(String(repeating: "x", count: 17_000))"}"#, 422),
                (#"{"resolution":"approve"}"#, 409),
            ]
            for (body, status) in refused {
                let answer = try await stack.resolve(id, body)
                #expect(answer.status == status, "\(body.prefix(60)): \(answer.body)")
            }
            #expect(try await stack.state(of: task) == "escalated", "Refusals change nothing.")
            #expect(try await stack.resolve(id, #"{"resolution":"reject","reason":"not worth it"}"#).status == 200)
            #expect(try await stack.state(of: task) == "rejected")

            let other = try await stack.submit(#"{"workflow":"careful"}"#)
            try await eventually { try await stack.state(of: other) == "escalated" }
            #expect(try await stack.post("/tasks/\(other)/cancel", nil, token: stack.token()).status == 200)
            #expect(try await stack.state(of: other) == "canceled")
            let ends = "SELECT status, resolution, resolved_by FROM escalations ORDER BY id"
            #expect(try await stack.sql(ends) == "resolved|reject|tester\nresolved|cancel|orchestrator")
        }
    }

    @Test func `two people resolve it once`() async throws {
        try await Self.withEscalation { stack, task, id in
            let bodies = [
                #"{"resolution":"reject","reason":"no"}"#, #"{"resolution":"cancel"}"#,
                #"{"resolution":"retry","plan":{"a":1}}"#,
            ]
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<18 {
                    group.addTask { try await stack.resolve(id, bodies[number % 3], replica: number % 2).status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.sorted() == [200] + Array(repeating: 409, count: 17))
            let ended =
                "SELECT count(*) FROM task_events WHERE kind IN "
                + "('task.completed', 'task.rejected', 'task.canceled', 'task.failed')"
            try await eventually { try await stack.sql(ended) == "1" }
            #expect(try await stack.sql("SELECT count(*) FROM task_events WHERE kind = 'task.resolved'") == "1")
            #expect(try await stack.state(of: task) != "escalated")
        }
    }

    @Test func `an approval that nobody gives is escalated, and an escalation nobody resolves fails`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let hasty = `Workflows over HTTP`.signed.replacing(
                #""kind":"approve""#, with: #""kind":"approve","timeout_seconds":1"#)
            #expect(try await stack.put("/workflows/hasty", hasty).status == 201)
            try await stack.withAgent(work: { _ in `Workflows over HTTP`.made }) {
                let approved = try await stack.submit(#"{"workflow":"hasty"}"#)
                try await eventually { try await stack.state(of: approved) == "escalated" }
                let id = try #require(try await stack.get("/tasks/\(approved)", token: stack.token())["escalation_id"])
                let shown = try await stack.get("/escalations/\(id)", token: stack.token())
                #expect(shown["source"] == "approval_deadline" && shown["classification"] == "process_issue")
                #expect(try await stack.resolve(id, #"{"resolution":"approve"}"#).status == 200)
                let done = try await stack.get("/tasks/\(approved)", token: stack.token())
                #expect(done["state"] == "completed" && done.body.contains(#""output":{"made":"it"}"#), "\(done.body)")

                let forgotten = try await stack.submit(#"{"workflow":"hasty"}"#)
                try await eventually { try await stack.state(of: forgotten) == "escalated" }
                // A week later.
                _ = try await stack.sql("UPDATE tasks SET deadline = now() WHERE id = '\(forgotten)'")
                try await eventually { try await stack.state(of: forgotten) == "failed" }
                let failed = try await stack.get("/tasks/\(forgotten)", token: stack.token())
                #expect(failed.body.contains("escalation_expired"), "\(failed.body)")
                let open = try await stack.sql("SELECT count(*) FROM escalations WHERE status <> 'resolved'")
                #expect(open == "0")
            }
        }
    }
}

extension OrchestratorUnderTest {
    fileprivate func resolve(_ id: String, _ body: String, replica: Int = 0) async throws -> Answer {
        try await post("/escalations/\(id)/resolve", body, replica: replica, token: token(role: "operator"))
    }
}

extension OrchestratorUnderTest {
    /// Files a dead letter about an attempt, as the dlq-worker does.
    fileprivate func bury(
        _ item: WorkItem, token: String? = nil, attempt: Int? = nil, payload: String? = nil
    ) async throws {
        let report = JSONWriter.object { writer in
            writer.field("task_id", item.task.description)
            writer.field("attempt", attempt ?? item.attempt)
            writer.field("lease_token", token ?? item.leaseToken)
            writer.field("outcome", "unheard of")
        }
        let letter = FiledLetter(
            messageID: "dlq:RESULTS:\(UInt32.random(in: 0 ... .max))",
            subject: "results.\(item.role).\(item.task)", family: "results.*.*", fingerprint: "x",
            payload: Array((payload ?? report.text).utf8), headers: [:], tenant: item.tenant, task: item.task,
            reason: "undecodable", error: nil, errorCount: 1, stream: "RESULTS", streamSequence: 1,
            consumer: "orchestrator-results", firstSeen: Date(), lastSeen: Date()
        )
        let filed = try await withStore { pool, _ in try await DeadLetterStore(pool: pool).file([letter]) }
        #expect(filed.count == 1)
    }
}
