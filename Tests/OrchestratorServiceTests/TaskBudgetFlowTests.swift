import Contracts
import Foundation
import Synchronization
internal import TestSupport
import Testing

/// What tasks may use, from their submission to the ledger.
@Suite struct `Task budgets over HTTP` {
    @Test func `a task is held for when it is accepted and charged once when it ends`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.open("default", 1000)
            try await stack.open("all-projects", 5000)
            try await stack.withAgent { item in
                #expect(item.budgetLeft == (item.attempt == 1 ? 400 : 370))
                if item.attempt == 1 {
                    return .failed(.init(code: "busy", message: "m", isRetryable: true, usage: .init(tokens: 30)))
                }
                return .completed(output: .null, usage: .init(tokens: 45))
            } _: {
                let key = ["Idempotency-Key": "k"]
                let id = try await stack.submit(#"{"budget_tokens":400}"#, headers: key)
                #expect(try await stack.submit(#"{"budget_tokens":400}"#, headers: key) == id)
                try await eventually { try await stack.state(of: id) == "completed" }
                let task = try await stack.get("/tasks/\(id)", token: stack.token())
                #expect(task.body.contains(#""budget_tokens":400,"usage_tokens":75"#), "\(task.body)")
                let hold = try await stack.sql("SELECT request_id, state, amount, actual FROM budget_reservations")
                #expect(hold == "task:\(id)|committed|400|75")
            }
            let accounts = "SELECT project_id, current_usage, reserved FROM budget_limits ORDER BY 1"
            #expect(try await stack.sql(accounts) == "all-projects|75|0\ndefault|75|0")
            try await stack.expectBalanced()
        }
    }

    @Test func `nothing is held where there is no budget`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.open("elsewhere", 10)
            _ = try await stack.submit()
            _ = try await stack.submit(#"{"budget_tokens":50}"#, tenant: "other")
            #expect(try await stack.sql("SELECT count(*) FROM budget_reservations") == "0")
        }
    }

    @Test func `a tenant's account that somebody holds locked keeps no other tenant's task from its deadline`()
        async throws
    {
        try await OrchestratorUnderTest.run { stack in
            try await stack.open("default", 1000)
            try await stack.withAgent(work: { _ in nil }) {
                let body = #"{"max_attempts":1,"budget_tokens":100}"#
                let (locked, free) = (try await stack.submit(body), try await stack.submit(body, tenant: "beta"))
                try await eventually {
                    try await stack.sql("SELECT count(*) FROM tasks WHERE state = 'developing'") == "2"
                }
                try await stack.withLockedAccount {
                    _ = try await stack.sql("UPDATE tasks SET deadline = now()")
                    try await eventually { try await stack.state(of: free, tenant: "beta") == "failed" }
                    let state = try await stack.state(of: locked)
                    #expect(state == "developing", "Its account is locked still.")
                }
                try await eventually { try await stack.state(of: locked) == "failed" }
            }
            try await stack.expectBalanced()
        }
    }

    @Test func `a tenant's account that somebody holds locked holds up no other tenant's submissions and results`()
        async throws
    {
        try await OrchestratorUnderTest.run { stack in
            try await stack.open("default", 1000)
            let locked = Moment()
            try await stack.withAgent(isParallel: true) { item in
                // What acme was working on ends while its account is locked.
                if item.tenant.text == "acme" { try await locked.wait() }
                return .completed(output: .null, usage: .init(tokens: 1))
            } _: {
                let body = #"{"budget_tokens":10}"#
                var working: [String] = []
                for _ in 0..<4 { working.append(try await stack.submit(body)) }
                let token = try await stack.token()
                async let statuses = withThrowingTaskGroup(of: Int.self) { group in
                    try await locked.wait()
                    for _ in 0..<6 { group.addTask { try await stack.post("/tasks", body, token: token).status } }
                    return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
                }
                try await stack.withLockedAccount {
                    locked.comes()
                    for _ in 0..<8 {
                        let task = try await stack.submit(tenant: "beta")
                        try await eventually { try await stack.state(of: task, tenant: "beta") == "completed" }
                    }
                }
                #expect(try await statuses.isSubset(of: [202, 503]))
                for task in working { try await eventually { try await stack.state(of: task) == "completed" } }
            }
            try await stack.expectBalanced()
        }
    }

    @Test func `a task that does not fit is refused, and an UPDATE makes room at once`() async throws {
        try await OrchestratorUnderTest.run(environment: ["GOLDEN_TASK_BUDGET_TOKENS": "70"]) { stack in
            try await stack.open("default", 100)
            let token = try await stack.token()
            #expect(try await stack.post("/tasks", "{}", token: token).status == 202)
            let key = ["Idempotency-Key": "k"]
            let refused = try await stack.post("/tasks", "{}", token: token, headers: key)
            #expect(refused.status == 402 && refused["code"] == "budget_exhausted", "\(refused.body)")
            #expect(refused.body.contains(#""requested":70,"used":0,"reserved":70,"limit":100"#))
            #expect(try await stack.sql("SELECT count(*) FROM tasks") == "1")
            _ = try await stack.sql("UPDATE budget_limits SET total_limit = 140 WHERE tenant_id = 'acme'")
            let accepted = try await stack.post("/tasks", "{}", token: token, headers: key)
            #expect(accepted.status == 202, "A refusal is not kept under the key.")
            let again = try await stack.post("/tasks", "{}", token: token, headers: key)
            #expect(again.headers["idempotent-replayed"] == "true" && again.body == accepted.body)
            try await stack.expectBalanced()
        }
    }

    @Test func `a task that uses more than it may is stopped, told why, and charged what it used`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.open("default", 1000)
            try await stack.withAgent { _ in
                .progress(number: 1, message: "thinking", data: nil, usage: .init(tokens: 130))
            } _: {
                let id = try await stack.submit(#"{"budget_tokens":100}"#)
                try await eventually { try await stack.state(of: id) == "failed" }
                let task = try await stack.get("/tasks/\(id)", token: stack.token())
                #expect(task.body.contains(#""code":"budget_exhausted""#) && task.body.contains("130 were used"))
            }
            let account = "SELECT current_usage, reserved, overage, blocked_at IS NOT NULL FROM budget_limits"
            #expect(try await stack.sql(account) == "130|0|30|t")
            let blocked = try await stack.post("/tasks", "{}", token: stack.token())
            #expect(blocked.status == 402 && blocked["code"] == "budget_blocked")
            try await stack.expectBalanced()
        }
    }

    @Test func `parts of a task take their tokens out of its budget`() async throws {
        try await OrchestratorUnderTest.run(environment: ["GOLDEN_TASK_BUDGET_TOKENS": "60"]) { stack in
            try await stack.open("default", 100)
            let token = try await stack.token()
            let whole = try await stack.submit(#"{"budget_tokens":100}"#)
            let part = try await stack.submit(#"{"parent_id":"\#(whole)","budget_tokens":30}"#)
            _ = try await stack.submit(#"{"parent_id":"\#(whole)"}"#)
            let budgets = "SELECT budget_tokens FROM tasks ORDER BY id"
            #expect(try await stack.sql(budgets) == "10\n30\n60")
            #expect(try await stack.sql("SELECT reserved FROM budget_limits") == "100")
            let refusals: [(String, String?, Int, String)] = [
                (#"{"parent_id":"\#(whole)","budget_tokens":10}"#, nil, 402, "budget_exhausted"),
                (#"{"parent_id":"\#(whole)","budget_tokens":1,"project":"p"}"#, nil, 422, "validation_failed"),
                (#"{"parent_id":"\#(whole)"}"#, "other", 422, "validation_failed"),
                (#"{"parent_id":"0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60"}"#, nil, 422, "validation_failed"),
                (#"{"parent_id":"mine"}"#, nil, 422, "validation_failed"),
            ]
            for (body, tenant, status, code) in refusals {
                let answer = try await stack.post("/tasks", body, token: stack.token(tenant: tenant ?? "acme"))
                #expect(answer.status == status && answer["code"] == code, "\(body): \(answer.body)")
            }
            _ = try await stack.post("/tasks/\(part)/cancel", nil, token: token)
            try await eventually { try await stack.state(of: part) == "canceled" }
            #expect(try await stack.sql("SELECT current_usage, reserved FROM budget_limits") == "0|70")
            let late = try await stack.post("/tasks", #"{"parent_id":"\#(part)"}"#, token: token)
            #expect(late.status == 409 && late["code"] == "task_ended", "\(late.body)")
            let parts = try await stack.get("/tasks?parent=\(whole)", token: token)
            #expect(try parts.json.fields?.first?.value.array?.count == 2, "\(parts.body)")
            try await stack.expectBalanced()
        }
    }

    @Test func `callers cannot settle what is held for a task`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.open("default", 100)
            let id = try await stack.submit(#"{"budget_tokens":40}"#)
            for (path, more) in [("request", #","tokens":1"#), ("commit", #","actual":0"#), ("release", "")] {
                let answer = try await stack.post(
                    "/budget/\(path)", #"{"request_id":"task:\#(id)"\#(more)}"#, token: stack.token())
                #expect(answer.status == 422 && answer.body.contains("request_id"), "\(path): \(answer.body)")
            }
            #expect(try await stack.sql("SELECT reserved FROM budget_limits") == "40")
        }
    }

    @Test func `many at once are accepted exactly as far as the budget goes`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            try await stack.open("default", 200)
            let token = try await stack.token()
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for caller in 0..<64 {
                    group.addTask {
                        // Half of them ask twice under one key, at both replicas.
                        let answer = try await stack.post(
                            "/tasks", #"{"budget_tokens":10}"#, replica: caller % 2, token: token,
                            headers: ["Idempotency-Key": "k\(caller / 2)"])
                        return answer.status
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 202 } == 40 && statuses.count { $0 == 402 } == 24, "\(statuses)")
            #expect(try await stack.sql("SELECT count(*) FROM tasks") == "20")
            #expect(try await stack.sql("SELECT current_usage, reserved FROM budget_limits") == "0|200")
            try await stack.expectBalanced()
        }
    }
}

/// Something that some wait for and others bring about.
private final class Moment: Sendable {
    private let hasCome = Mutex(false)

    func comes() { hasCome.withLock { $0 = true } }

    func wait() async throws {
        while !hasCome.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(20)) }
    }
}

extension OrchestratorUnderTest {
    func sql(_ text: String) async throws -> String { try await postgres.sql(text, database: database) }

    /// Opens a budget of the tenant acme.
    fileprivate func open(_ project: String, _ limit: Int) async throws {
        let body = Array(#"{"project":"\#(project)","total_limit":\#(limit)}"#.utf8)
        let answer = try await send("PUT", "/budget/limits", token: token(role: "admin"), body: body)
        guard answer.status == 200 else { throw Unexpected(answer.body) }
    }

    /// Holds the account of the tenant acme locked while `body` runs, however long that takes.
    fileprivate func withLockedAccount(_ body: () async throws -> Void) async throws {
        let holder = """
            FROM pg_stat_activity
            WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid() AND datname = current_database()
            """
        let holding = "SELECT count(*) \(holder) AND wait_event = 'PgSleep'"
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                let hold = "BEGIN; SELECT FROM budget_limits WHERE tenant_id = 'acme' FOR UPDATE; SELECT pg_sleep(600)"
                // Its session is ended below.
                do { _ = try await self.sql(hold) } catch is ServerProcess.Failure {}
            }
            var failure: (any Error)?
            do {
                try await eventually { try await sql(holding) == "1" }
                try await body()
                let held = try await sql(holding)
                #expect(held == "1", "What was done under the lock waited for its end.")
            } catch { failure = error }
            _ = try await sql("SELECT pg_terminate_backend(pid) \(holder)")
            try await group.waitForAll()
            if let failure { throw failure }
        }
    }

    fileprivate func expectBalanced() async throws {
        let verified = try await get("/budget/verification", token: token(role: "admin"))
        #expect(verified.body == #"{"consistent":true,"differences":[]}"#)
    }
}
