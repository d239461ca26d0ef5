import Contracts
import Foundation
import Testing

/// What people do about dead letters; what the dlq-worker makes of it is tested with that.
@Suite struct `Dead letters over HTTP` {
    /// A task of acme's that has ended, and a letter that is work of it.
    private static func withEndedTask(
        _ submission: String = #"{"input":{"page":1}}"#,
        _ body: @escaping @Sendable (OrchestratorUnderTest, _ letter: String) async throws -> Void
    ) async throws {
        try await OrchestratorUnderTest.run { stack in
            let stages = #"""
                {"stages":[{"name":"a","kind":"work","role":"developer","timeout_seconds":100,"max_attempts":2},
                {"name":"b","kind":"work","role":"developer","timeout_seconds":50,"max_attempts":4}]}
                """#
            #expect(try await stack.put("/workflows/long", stages).status == 201)
            let task = try await stack.submit(submission)
            let made = JSONWriter.object { $0.field("made", "it") }
            try await stack.withAgent(work: { _ in .completed(output: made, usage: nil) }) {
                try await eventually { try await stack.state(of: task) == "completed" }
            }
            try await body(stack, try await stack.file("work.developer", tenant: "acme", task: task))
        }
    }

    @Test func `an edited message names no other tenant than its letter's`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let own = try await stack.file("sandbox.execute", tenant: "beta")
            let nobodys = try await stack.file("prc.x.request", tenant: nil)
            for (letter, tenant) in [(own, #""acme""#), (nobodys, #""acme""#), (own, "7"), (nobodys, "{}")] {
                let body = #"{"payload":{"v":1,"tenant":\#(tenant)}}"#
                let refused = try await stack.replay(letter, body, tenant: "beta")
                #expect(refused.status == 422 && refused.body.contains("payload.tenant"), "\(refused)")
            }
            #expect(try await stack.sql("SELECT count(*) FROM dlq_replays") == "0", "nothing is sent")
            for letter in [own, nobodys] {
                let taken = try await stack.replay(letter, #"{"payload":{"v":1,"tenant":"beta"}}"#, tenant: "beta")
                #expect(taken.status == 202, "\(taken)")
            }
        }
    }

    @Test func `open letters are grouped by cause, the largest group first, for their tenant alone`() async throws {
        try await OrchestratorUnderTest.run { stack in
            for reason in ["undecodable", "rejected", "undecodable"] {
                _ = try await stack.file("work.developer", tenant: "acme", reason: reason)
            }
            _ = try await stack.file("work.developer", tenant: "beta", reason: "rejected")
            let token = try await stack.token(role: "operator")
            let answer = try await stack.get("/dlq/groups", token: token)
            let all = try answer.json
            let groups = all["groups"]?.array ?? []
            #expect(answer.status == 200 && all["total"]?.int == 3, "\(answer)")
            #expect(groups.map { $0["reason"]?.string } == ["undecodable", "rejected"])
            #expect(groups.map { $0["count"]?.int } == [2, 1])
            let cause = try #require(groups.last?["cause"]?.string)
            #expect(try await stack.get("/dlq/groups?cause=\(cause)", token: token).json["total"]?.int == 1)
            #expect(try await stack.get("/dlq/groups?color=red", token: token).status == 400)
            #expect(try await stack.get("/dlq/groups", token: stack.token()).status == 403)
        }
    }

    @Test func `work of an ended task becomes one new task, whoever asks and however often`() async throws {
        try await Self.withEndedTask { stack, letter in
            // Who comes when it is done is told so; all others are shown the same task.
            let made = try await withThrowingTaskGroup(of: String?.self) { group in
                for number in 0..<8 {
                    group.addTask { try await stack.replay(letter, "{}", by: "person-\(number)")["id"] }
                }
                return try await group.reduce(into: Set<String>()) { ids, id in
                    if let id { ids.insert(id) }
                }
            }
            #expect(made.count == 1)
            try await stack.reopen(letter)
            let again = try await stack.replay(letter, "{}", by: "somebody-else")
            #expect(again.status == 202 && again["id"] == made.first, "\(again)")
            #expect(try await stack.sql("SELECT count(*) FROM tasks") == "2")
        }
    }

    @Test(arguments: [
        (#""timeout_seconds":77,"max_attempts":3"#, "77|3"),
        (#""workflow":"long","timeout_seconds":77"#, "77|2"),
        (#""workflow":"long","max_attempts":3"#, "100|3"),
    ])
    func `work submitted anew has the limits that its task asked for, and names that task`(
        asked: String, limits: String
    ) async throws {
        let labels = (1...TaskSubmission.labelsMax).map { #""l\#($0)":"x""# }.joined(separator: ",")
        try await Self.withEndedTask(#"{\#(asked),"labels":{\#(labels)}}"#) { stack, letter in
            let made = try await stack.replay(letter, "{}")
            #expect(made.status == 202, "\(made)")
            let task = try #require(made["id"])
            let old = try await stack.sql("SELECT id FROM tasks WHERE id <> '\(task)'")
            let kept = "SELECT timeout_seconds, attempt_max, labels->>'replay_of' FROM tasks WHERE id = '\(task)'"
            #expect(try await stack.sql(kept) == "\(limits)|\(old)")
        }
    }

    @Test(arguments: [("", "developer"), (#","role":"architect""#, "architect")])
    func `work submitted anew begins with the role that its task began with`(asked: String, role: String) async throws {
        try await OrchestratorUnderTest.run { stack in
            let stages = #"""
                {"stages":[{"name":"develop","kind":"work","role":"developer"},
                {"name":"deploy","kind":"work","role":"deployer","state":"deploying"}]}
                """#
            #expect(try await stack.put("/workflows/delivered", stages).status == 201)
            let made = AgentReport.Body.completed(output: .emptyObject, usage: nil)
            let task = try await stack.submit(#"{"workflow":"delivered"\#(asked)}"#)
            try await stack.withAgent(role: role, work: { _ in made }) {
                try await stack.withAgent(role: "deployer", work: { _ in made }) {
                    try await eventually { try await stack.state(of: task) == "completed" }
                }
            }
            let letter = try await stack.file("work.deployer", tenant: "acme", task: task)
            let anew = try await stack.replay(letter, "{}")
            let id = try #require(anew["id"], "\(anew)")
            let begun = "SELECT data->>'role' FROM task_events WHERE task_id = '\(id)' AND sequence = 1"
            #expect(try await stack.sql(begun) == role)
        }
    }

    @Test func `the input of an edited work item is the new task's`() async throws {
        try await Self.withEndedTask { stack, letter in
            let empty = try await stack.replay(letter, #"{"payload":{"v":1,"tenant":"acme"}}"#)
            #expect(empty.status == 422 && empty.body.contains("payload.input"), "\(empty)")
            let edited = #"{"payload":{"v":1,"tenant":"acme","input":{"page":2}}}"#
            let made = try await stack.replay(letter, edited)
            #expect(made.status == 202, "\(made)")
            let task = try #require(made["id"])
            #expect(try await stack.sql("SELECT input FROM tasks WHERE id = '\(task)'") == #"{"page":2}"#)
            try await stack.reopen(letter)
            let other = try await stack.replay(letter, "{}", by: "somebody-else")
            #expect(other.status == 409, "\(other)")
            #expect(try await stack.replay(letter, edited, by: "somebody-else")["id"] == task)
            #expect(try await stack.sql("SELECT count(*) FROM tasks") == "2")
        }
    }

    @Test func `work submitted anew is charged with its tokens like any other`() async throws {
        try await Self.withEndedTask { stack, letter in
            let limits = #"{"tokens":{"acme":{"limit":30000,"period_seconds":86400}}}"#
            let set = try await stack.send(
                "PUT", "/admin/rate-limits", token: stack.token(role: "admin"), headers: ["If-Match": "\"0\""],
                body: Array(limits.utf8))
            #expect(set.status == 200, "\(set)")
            #expect(try await stack.replay(letter, "{}").status == 202)
            let token = try await stack.token()
            #expect(try await stack.post("/tasks", #"{"budget_tokens":25000}"#, token: token).status == 429)
            #expect(try await stack.post("/tasks", #"{"budget_tokens":20000}"#, token: token).status == 202)
            try await stack.reopen(letter)
            #expect(try await stack.replay(letter, "{}").status == 429, "no tokens are left")
            #expect(try await stack.sql("SELECT count(*) FROM dlq_messages WHERE NOT resolved") == "1")
        }
    }

    @Test func `the stream of a replay that is over ends, and who has its last event is told not to come back`()
        async throws
    {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token(role: "operator")
            let begun = try await stack.post("/dlq/replay", #"{"everything":true}"#, token: token)
            let place = try #require(begun.headers["location"])
            // It claims to have an event that is still to come.
            async let ahead = stack.follow(place + "/events", after: 1000, token: token)
            try await eventually { try await stack.timesRun("FindReplay") >= 2 }
            #expect(try await stack.post(place + "/stop", nil, token: token).status == 200)
            let ended = try await ahead
            #expect(ended.status == 200 && !ended.body.contains("event: "), "\(ended)")
            let whole = try await stack.follow(place + "/events", token: token)
            #expect(whole.status == 200 && whole.body.contains("event: stopped"), "\(whole)")
            let lines = whole.body.split(separator: "\n")
            let last = try #require(lines.last { $0.hasPrefix("id: ") }.flatMap { Int($0.dropFirst(4)) })
            #expect(try await stack.follow(place + "/events", after: last, token: token).status == 204)
            #expect(try await stack.follow(place + "/events", after: last - 1, token: token).status == 200)
        }
    }
}

extension OrchestratorUnderTest {
    /// Files a letter, as the dlq-worker does; answers its id.
    fileprivate func file(
        _ subject: String, tenant: String?, task: String? = nil, reason: String = "undecodable"
    ) async throws -> String {
        let id = UUID().uuidString.lowercased()
        let (tenant, task) = (tenant.map { "'\($0)'" } ?? "NULL", task.map { "'\($0)'" } ?? "NULL")
        _ = try await sql(
            "INSERT INTO dlq_messages (id, message_id, original_subject, data, tenant_id, task_id, reason) "
                + "VALUES ('\(id)', '\(id)', '\(subject)', '{}', \(tenant), \(task), '\(reason)')")
        return id
    }

    /// As if whoever had its work submitted anew had died before the letter was closed.
    fileprivate func reopen(_ letter: String) async throws {
        _ = try await sql("UPDATE dlq_messages SET resolved = false, resolved_at = NULL WHERE id = '\(letter)'")
    }

    fileprivate func replay(
        _ letter: String, _ body: String, by subject: String = "ada", tenant: String = "acme"
    ) async throws -> Answer {
        let token = try await token(role: "operator", tenant: tenant, subject: subject)
        return try await post("/dlq/\(letter)/replay", body, token: token)
    }
}
