import Contracts
import Foundation
internal import TestSupport
import Testing

/// Tenants' own workflows, approvals and escalations, from HTTP to the agent and back.
@Suite struct `Workflows over HTTP` {
    static let signed = """
        {"stages":[{"name":"work","kind":"work","role":"developer"},{"name":"sign-off","kind":"approve"}]}
        """
    static let escalating = """
        {"stages":[{"name":"work","kind":"work","role":"developer","max_attempts":1}],"escalate_on_failure":true}
        """
    static let made = AgentReport.Body.completed(output: JSONWriter.object { $0.field("made", "it") }, usage: nil)

    @Test func `a workflow is stored, versioned, shown and its tenant's own`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let `operator` = try await stack.token(role: "operator")
            let first = try await stack.put("/workflows/signed", Self.signed)
            #expect(first.status == 201 && first.headers["etag"] == "\"1\"", "\(first.body)")
            let same = try await stack.put("/workflows/signed", Self.signed)
            #expect(same.status == 200 && same.headers["etag"] == "\"1\"", "\(same.body)")
            let second = try await stack.put("/workflows/signed", Self.escalating, headers: ["If-Match": "\"1\""])
            #expect(second.status == 201 && second.headers["etag"] == "\"2\"", "\(second.body)")
            let stale = try await stack.put("/workflows/signed", Self.signed, headers: ["If-Match": "\"1\""])
            #expect(stale.status == 412 && stale["code"] == "precondition_failed", "\(stale.body)")

            let old = try await stack.get("/workflows/signed?version=1", replica: 1, token: `operator`)
            #expect(old.status == 200 && old.body.contains("sign-off"), "\(old.body)")
            let list = try await stack.get("/workflows", replica: 1, token: `operator`)
            #expect(list.body.contains(#""name":"single","version":1,"built_in":true"#), "\(list.body)")
            #expect(list.body.contains(#""name":"signed","version":2,"built_in":false"#), "\(list.body)")

            let stranger = try await stack.token(role: "operator", tenant: "beta")
            #expect(try await stack.get("/workflows/signed", token: stranger).status == 404)
            #expect(try await !stack.get("/workflows", token: stranger).body.contains("signed"))
            let named = try await stack.post("/tasks", #"{"workflow":"signed"}"#, token: stack.token(tenant: "beta"))
            #expect(named.status == 422 && named.body.contains("workflow"), "\(named.body)")
            let refusals: [(String, String)] = [
                ("single", Self.signed), ("w", #"{"stages":[{"name":"r","kind":"review"}]}"#), ("w", "{}"),
                ("a.b", Self.signed),
            ]
            for (name, body) in refusals {
                let refused = try await stack.put("/workflows/\(name)", body)
                #expect(refused.status == 422 && refused["code"] == "validation_failed", "\(name): \(refused.body)")
            }
            #expect(try await stack.sql("SELECT count(*) FROM workflows") == "2")
        }
    }

    @Test func `as many at once as may be store one version each`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 1...8 {
                    group.addTask {
                        let body = Self.signed.replacing("\"sign-off\"", with: "\"s\(number)\"")
                        let headers = ["If-Match": "0"]
                        return try await stack.put("/workflows/w", body, replica: number % 2, headers: headers).status
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.sorted() == [201] + Array(repeating: 412, count: 7))
            #expect(try await stack.sql("SELECT count(*), max(version) FROM workflows") == "1|1")
        }
    }

    @Test func `work waits for a human, who sees it and approves it`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            _ = try await stack.put("/workflows/signed", Self.signed)
            try await stack.withAgent(work: { _ in Self.made }) {
                let id = try await stack.submit(#"{"workflow":"signed"}"#, replica: 1)
                try await eventually { try await stack.state(of: id) == "awaiting_approval" }
                // What comes later is for tasks that come later.
                _ = try await stack.put("/workflows/signed", Self.escalating)
                let shown = try await stack.get("/tasks/\(id)", token: stack.token())
                #expect(shown.body.contains(#""draft":{"made":"it"}"#) && !shown.body.contains(#""output""#))
                #expect(shown["stage"] == "sign-off")
                let question = try #require(shown["approval_id"])
                let explained = try await stack.get("/tasks/\(id)/explain", token: stack.token())
                #expect(explained.body.contains("approve or reject"), "\(explained.body)")

                let developer = try await stack.post(
                    "/tasks/\(id)/approval", #"{"verdict":"approve"}"#, token: stack.token())
                #expect(developer.status == 403)
                let stranger = try await stack.approve(id, #"{"verdict":"approve"}"#, tenant: "beta")
                #expect(stranger.status == 404)
                for body in [#"{"verdict":"maybe"}"#, #"{"verdict":"reject"}"#, "{}", #"{"verdict":"approve","x":1}"#] {
                    #expect(try await stack.approve(id, body).status == 422, "\(body)")
                }
                let other = try await stack.approve(id, #"{"verdict":"approve","approval_id":"another"}"#)
                #expect(other.status == 409 && other["code"] == "conflict", "\(other.body)")
                let approved = try await stack.approve(
                    id, #"{"verdict":"approve","approval_id":"\#(question)","reason":"read it"}"#)
                #expect(approved.status == 200 && approved["state"] == "completed", "\(approved.body)")
                let again = try await stack.approve(id, #"{"verdict":"approve"}"#)
                #expect(again.status == 409 && again["code"] == "task_ended", "\(again.body)")
                let done = try await stack.get("/tasks/\(id)", token: stack.token())
                #expect(done.body.contains(#""output":{"made":"it"}"#) && !done.body.contains(#""draft""#))
                #expect(done.body.contains(#""workflow_version":1"#))
                let kinds = try await stack.kinds(of: id)
                #expect(
                    kinds == [
                        "task.created", "task.dispatched", "task.stage_completed", "task.approval_requested",
                        "task.approved", "task.completed",
                    ])
            }
        }
    }

    @Test func `rejected work ends its task, and two humans end it once`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            _ = try await stack.put("/workflows/signed", Self.signed)
            try await stack.withAgent(work: { _ in Self.made }) {
                let id = try await stack.submit(#"{"workflow":"signed"}"#)
                try await eventually { try await stack.state(of: id) == "awaiting_approval" }
                let bodies = [#"{"verdict":"approve"}"#, #"{"verdict":"reject","reason":"no"}"#]
                let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                    for number in 0..<16 {
                        group.addTask {
                            try await stack.approve(id, bodies[number % 2], replica: number / 2 % 2).status
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(statuses.sorted() == [200] + Array(repeating: 409, count: 15))
                let ends = "SELECT count(*) FROM task_events WHERE kind IN ('task.completed', 'task.rejected')"
                #expect(try await stack.sql(ends) == "1")
            }
        }
    }

    @Test func `a second stage of work goes on with what the first has made`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let stages = """
                {"stages":[{"name":"work","kind":"work","role":"developer"},
                           {"name":"deploy","kind":"work","role":"deployer","state":"deploying"}]}
                """
            #expect(try await stack.put("/workflows/two", stages).status == 201)
            try await stack.withAgent(work: { _ in Self.made }) {
                try await stack.withAgent(
                    role: "deployer",
                    work: { item in
                        .completed(output: item.previous ?? .null, usage: nil)
                    }
                ) {
                    let id = try await stack.submit(#"{"workflow":"two"}"#)
                    try await eventually { try await stack.state(of: id) == "completed" }
                    let done = try await stack.get("/tasks/\(id)", token: stack.token())
                    #expect(done.body.contains(#""output":{"made":"it"}"#), "\(done.body)")
                }
            }
        }
    }

    @Test func `a guard sends work to its fixer with a plan, and the fixed work counts`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let guarded = """
                {"stages":[{"name":"work","kind":"work","role":"developer","guards":["has_tests"]}]}
                """
            #expect(try await stack.put("/workflows/guarded", guarded).status == 201)
            try await stack.withAgent(work: { _ in Self.made }) {
                try await stack.withAgent(
                    role: "tester",
                    work: { item in
                        let isAsked = item.plan?.text.contains("has_tests") == true && item.previous != nil
                        return .completed(
                            output: JSONWriter.object {
                                $0.field("checks", object: { $0.field("has_tests", isAsked) })
                            },
                            usage: nil
                        )
                    }
                ) {
                    let id = try await stack.submit(#"{"workflow":"guarded"}"#)
                    try await eventually { try await stack.state(of: id) == "completed" }
                    let done = try await stack.get("/tasks/\(id)", token: stack.token())
                    #expect(done.body.contains(#""rework":1"#) && !done.body.contains(#""plan""#), "\(done.body)")
                }
            }
        }
    }
}

extension OrchestratorUnderTest {
    func put(
        _ path: String, _ body: String, replica: Int = 0, headers: [String: String] = [:]
    ) async throws -> Answer {
        try await send(
            "PUT", path, replica: replica, token: token(role: "operator"), headers: headers, body: Array(body.utf8))
    }

    func approve(
        _ task: String, _ body: String, tenant: String = "acme", replica: Int = 0
    ) async throws -> Answer {
        try await post(
            "/tasks/\(task)/approval", body, replica: replica, token: token(role: "operator", tenant: tenant))
    }

    func kinds(of task: String, replica: Int = 0) async throws -> [String] {
        let events = try await get("/tasks/\(task)/events", replica: replica, token: token())
        return try events.json.fields?.first { $0.name == "events" }?.value.array?.map {
            try TaskEvent(json: $0).kind.rawValue
        } ?? []
    }
}
