import Contracts
import Foundation
import TestSupport
import Testing

/// Rate limits as callers and operators meet them.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Rate limits` {
    static let plenty = #""admin":{"limit":100000},"observer":{"limit":100000},"developer":{"limit":100000}"#

    private static func set(
        _ stack: OrchestratorUnderTest, _ document: String, version: Int, token: String? = nil, replica: Int = 0
    ) async throws -> OrchestratorUnderTest.Answer {
        var admin = token
        if admin == nil { admin = try await stack.token(role: "admin", subject: "root") }
        return try await stack.send(
            "PUT", "/admin/rate-limits", replica: replica, token: admin, headers: ["If-Match": "\"\(version)\""],
            body: Array(document.utf8))
    }

    @Test func `limits set on one replica hold on all, each version once`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let admin = try await stack.token(role: "admin", subject: "root")
            let shown = try await stack.get("/admin/rate-limits", token: admin)
            #expect(shown.status == 200 && shown.headers["etag"] == "\"0\"", "\(shown)")
            #expect(shown.body.contains(#""sandbox.execute":{"limit":10,"period_seconds":60,"burst":10}"#))
            let document = #"{"roles":{\#(Self.plenty),"agent":{"limit":7,"burst":3}}}"#
            let blind = try await stack.send(
                "PUT", "/admin/rate-limits", token: admin, body: Array(document.utf8))
            #expect(blind.status == 428 && blind["code"] == "precondition_required", "\(blind)")
            #expect(try await Self.set(stack, document, version: 3).status == 412)
            let set = try await Self.set(stack, document, version: 0)
            #expect(set.status == 200 && set.headers["etag"] == "\"1\"", "\(set)")
            #expect(set["changed_by"] == "acme/root")
            let agent = try await stack.token(role: "agent")
            for replica in 0..<2 {
                try await eventually {
                    let answer = try await stack.get("/tasks", replica: replica, token: agent)
                    return answer.headers["ratelimit-policy"] == "\"agent\";q=7;w=60"
                }
            }
            let late = try await Self.set(stack, document, version: 0, replica: 1)
            #expect(late.status == 412 && late.body.contains(#""version":1"#), "\(late)")
            // Of two at once one is kept.
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for replica in 0..<2 {
                    group.addTask { try await Self.set(stack, document, version: 1, replica: replica).status }
                }
                return try await group.reduce(into: []) { $0.append($1) }.sorted()
            }
            #expect(statuses == [200, 412])
            let audit = try await stack.get("/audit?action=setRateLimits", token: admin)
            #expect(audit.body.contains(#""version":"1""#) && audit.body.contains("precondition_failed"))
        }
    }

    @Test func `tenants and routes have counts of their own, decided together`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let limits = #"""
                {"roles":{\#(Self.plenty)},"tenants":{"*":{"limit":6},"calm":{"limit":1000}},
                 "routes":{"listAgents":{"limit":2},"breaker.read":{"limit":1}}}
                """#
            #expect(try await Self.set(stack, limits, version: 0).status == 200)
            func status(_ path: String, _ subject: String, tenant: String = "beta") async throws -> Int {
                try await stack.get(path, token: stack.token(role: "observer", tenant: tenant, subject: subject)).status
            }
            #expect(try await status("/agents", "ann") == 200)
            let second = try await stack.get(
                "/agents", token: stack.token(role: "observer", tenant: "beta", subject: "ann"))
            #expect(
                second.headers["ratelimit-policy"]
                    == "\"observer\";q=100000;w=60, \"tenant\";q=6;w=60, \"listAgents\";q=2;w=60")
            let third = try await stack.get(
                "/agents", token: stack.token(role: "observer", tenant: "beta", subject: "ann"))
            #expect(third.status == 429 && third.body.contains(#""name":"listAgents""#), "\(third)")
            #expect(!third.body.contains(#""name":"tenant""#))
            #expect(try await status("/agents", "bob") == 200)
            #expect(try await status("/circuit-breakers", "bob") == 200)
            #expect(try await status("/circuit-breakers", "bob") == 429)
            // Four of the tenant's six are used; refusals took nothing.
            #expect(try await status("/tasks", "cyd") == 200)
            #expect(try await status("/tasks", "cyd") == 200)
            #expect(try await status("/tasks", "dan") == 429)
            #expect(try await status("/tasks", "dan", tenant: "calm") == 200)
        }
    }

    @Test func `who is nearest to a limit is shown, to operators of their own tenant only`() async throws {
        let few = ["GOLDEN_RATE_LIMITS": "observer=3,login=2"]
        try await OrchestratorUnderTest.run(environment: few) { stack in
            let observer = try await stack.token(role: "observer", tenant: "beta", subject: "eve")
            _ = try await stack.post("/auth/login", #"{"user":"x","password":"y"}"#, token: nil)
            for _ in 0..<4 { _ = try await stack.get("/agents", token: observer) }
            let all = try await stack.get("/admin/rate-limits", token: stack.token(role: "admin"))
            var reader = try JSONReader(all.json)
            var nearest = try JSONReader(try #require(try reader.optionalArray("use")?.first))
            #expect(try nearest.string("key") == "observer:eve" && nearest.string("tenant") == "beta")
            // The first of three comes back after 20 of 60 seconds.
            #expect(try (67...100).contains(nearest.int("used_percent")) && nearest.int("remaining") == 0)
            #expect(all.body.contains(#""key":"address:127.0.0.1""#))
            let own = try await stack.get("/admin/rate-limits", token: stack.token(role: "operator", tenant: "gamma"))
            #expect(own.status == 200 && !own.body.contains("observer:eve") && !own.body.contains("address:"), "\(own)")
        }
    }

    @Test func `people behind one address log in without shutting each other out`() async throws {
        try await OrchestratorUnderTest.run { stack in
            for number in 0..<20 {
                let body = #"{"user":"user\#(number)","password":"wrong"}"#
                let answer = try await stack.post("/auth/login", body, token: nil)
                #expect(answer.status == 401 && answer.headers["ratelimit-policy"] == "\"login\";q=60;w=60")
            }
        }
    }

    @Test func `while Redis is away money and logins are closed, the rest is counted here`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let body = #"{"user":"ada","password":"wrong"}"#
            #expect(try await stack.get("/tasks", token: token).headers["ratelimit-mode"] == nil)
            try await stack.redis.kill()
            let degraded = try await stack.get("/tasks", token: token)
            #expect(degraded.status == 200 && degraded.headers["ratelimit-mode"] == "degraded", "\(degraded)")
            let looking = try await stack.get("/budget/state", token: token)
            #expect(looking.status == 200 && looking.headers["ratelimit-mode"] == "degraded", "\(looking)")
            let asked = #"{"request_id":"r","tokens":1}"#
            for (path, text) in [
                ("/auth/login", body), ("/auth/token", #"{"api_key":"gk_x"}"#), ("/budget/request", asked),
            ] {
                let closed = try await stack.post(path, text, token: token)
                #expect(closed.status == 503 && closed.headers["ratelimit-mode"] == "closed", "\(path): \(closed)")
                #expect(closed.headers["retry-after"] == "1" && closed["code"] == "unavailable")
            }
            try await stack.redis.start()
            try await eventually { try await stack.post("/auth/login", body, token: nil).status == 401 }
            let again = try await stack.post("/budget/request", asked, token: token)
            #expect(again.status == 201 && again.headers["ratelimit-mode"] == nil, "\(again)")
        }
    }

    @Test func `a task is charged with an estimate of tokens and settled by what it used`() async throws {
        try await OrchestratorUnderTest.run { stack in
            // Whole again only after a day, so that nothing comes back by itself.
            let rule = #"{"limit":30000,"period_seconds":86400}"#
            let limits = #"{"roles":{\#(Self.plenty)},"tokens":{"acme":\#(rule)}}"#
            #expect(try await Self.set(stack, limits, version: 0).status == 200)
            let token = try await stack.token()
            let keyed = ["Idempotency-Key": "once"]
            #expect(try await stack.post("/tasks", "{}", token: token, headers: keyed).status == 202)
            // A repetition starts nothing, so it is given back.
            let again = try await stack.post("/tasks", "{}", token: token, headers: keyed)
            #expect(again.headers["idempotent-replayed"] == "true")
            try await eventually { try await stack.post("/tasks", "{}", token: token).status == 202 }
            try await eventually { try await stack.post("/tasks", "{}", token: token).status == 202 }
            let refused = try await stack.post("/tasks", "{}", token: token)
            #expect(refused.status == 429 && refused.body.contains(#""name":"tokens""#), "\(refused)")
            #expect(try await stack.get("/tasks", token: token).status == 200)
            #expect(try await stack.submit(tenant: "beta").isEmpty == false)
            try await stack.withAgent(work: { _ in
                .completed(output: .emptyObject, usage: AgentReport.Usage(tokens: 5_000))
            }) {
                // Three tasks of 5,000 instead of 10,000 make room for one more.
                try await eventually { try await stack.post("/tasks", "{}", token: token).status == 202 }
            }
        }
    }

    @Test func `a task and its parts are charged together with what they used`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let rule = #"{"limit":30000,"period_seconds":86400}"#
            let limits = #"{"roles":{\#(Self.plenty)},"tokens":{"acme":\#(rule)}}"#
            #expect(try await Self.set(stack, limits, version: 0).status == 200)
            let token = try await stack.token()
            func submit(_ body: String) async throws -> Int {
                try await stack.post("/tasks", body, token: token).status
            }
            let whole = try await stack.submit(#"{"budget_tokens":20000}"#)
            // The whole was charged for its parts, so that there is room for the next one.
            let parts = [#","budget_tokens":9000"#, #","budget_tokens":9000"#, ""]
            for part in parts {
                try await eventually { try await submit(#"{"parent_id":"\#(whole)"\#(part)}"#) == 202 }
            }
            #expect(try await stack.sql("SELECT budget_tokens FROM tasks ORDER BY id") == "1\n9000\n9000\n1999")
            try await stack.withAgent(work: { item in
                let tokens = item.task.description == whole ? 0 : 100
                return .completed(output: .emptyObject, usage: AgentReport.Usage(tokens: tokens))
            }) {
                let unfinished = "SELECT count(*) FROM tasks WHERE state <> 'completed'"
                try await eventually { try await stack.sql(unfinished) == "0" }
            }
            // 300 of 30,000 were used, no more and no less.
            try await eventually { try await submit(#"{"budget_tokens":29700}"#) == 202 }
            #expect(try await submit(#"{"budget_tokens":250}"#) == 429)
        }
    }

    @Test func `the start-up configuration may be a document, and an unknown name stops the start`() async throws {
        let document = #"{"roles":{"developer":{"limit":11},"observer":null},"routes":{"submitTask":{"limit":9}}}"#
        try await OrchestratorUnderTest.run(environment: ["GOLDEN_RATE_LIMITS": document]) { stack in
            let answer = try await stack.post("/tasks", "{}", token: stack.token())
            #expect(answer.headers["ratelimit-policy"] == "\"developer\";q=11;w=60, \"submitTask\";q=9;w=60")
            let observer = try await stack.get("/tasks", token: stack.token(role: "observer"))
            #expect(observer.status == 200 && observer.headers["ratelimit-policy"] == nil)
            let shown = try await stack.get("/admin/rate-limits", token: stack.token(role: "admin"))
            #expect(shown.body.contains(#""observer":null"#))
        }
        for wrong in ["submitTsak=3", "developer=0", #"{"roles":{"developer":{"limit":0}}}"#, "{"] {
            await #expect(throws: (any Error).self) {
                try await OrchestratorUnderTest.run(environment: ["GOLDEN_RATE_LIMITS": wrong]) { _ in }
            }
        }
    }

    @Test func `documents that make no limits are refused by the field`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let rows = [
                (#"{"roles":{"root":{"limit":1}}}"#, "roles.root"), (#"{"roles":{"admin":{}}}"#, "roles.admin.limit"),
                (#"{"roles":{"admin":{"limit":0}}}"#, "roles.admin.limit"),
                (#"{"roles":{"admin":{"limit":1,"period_seconds":0}}}"#, "roles.admin.period_seconds"),
                (#"{"roles":{"admin":{"limit":1,"period_seconds":86400,"burst":50}}}"#, "roles.admin.burst"),
                (#"{"roles":{"admin":{"limit":1,"per":3}}}"#, "roles.admin.per"), (#"{"roles":[]}"#, "roles"),
                (#"{"tenants":{"a.b":{"limit":1}}}"#, "tenants.a.b"),
                (#"{"routes":{"noSuchRoute":{"limit":1}}}"#, "routes.noSuchRoute"),
                (#"{"tokens":{"acme":{"limit":"9"}}}"#, "tokens.acme.limit"), (#"{"closed":["x"]}"#, "closed"),
                (#"{"rates":{}}"#, "rates"), (#"{"concurrency":[]}"#, "concurrency"),
                (#"{"concurrency":{"a.b":{}}}"#, "concurrency.a.b"),
                (#"{"concurrency":{"acme":{"gpu":1}}}"#, "concurrency.acme.gpu"),
                (#"{"concurrency":{"acme":{"gpu=a":-1}}}"#, "concurrency.acme.gpu=a"),
            ]
            for (document, field) in rows {
                let answer = try await Self.set(stack, document, version: 0)
                #expect(answer.status == 422 && answer.body.contains("\"\(field)\""), "\(document): \(answer)")
            }
            let shown = try await stack.get("/admin/rate-limits", token: stack.token(role: "admin"))
            #expect(shown.headers["etag"] == "\"0\"")
        }
    }
}
