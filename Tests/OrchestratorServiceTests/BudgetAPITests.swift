import Contracts
import Foundation
internal import TestSupport
import Testing

/// Budgets over HTTP, as clients and operators meet them.
@Suite struct `Budget API` {
    @Test func `the runbook's request twice gives the same answer`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let body = #"{"request_id": "unique-123", "tokens": 1000}"#
            let first = try await stack.post("/budget/request", body, token: token)
            let again = try await stack.post("/budget/request", body, token: token)
            #expect(first.status == 201 && again.status == 200 && first.body == again.body, "\(first.body)")
            #expect(first.headers["idempotent-replayed"] == nil && again.headers["idempotent-replayed"] == "true")
            let other = try await stack.post(
                "/budget/request", #"{"request_id":"unique-123","amount":1001}"#, token: token)
            #expect(other.status == 422 && other["code"] == "idempotency_mismatch")
        }
    }

    @Test func `a denial says who holds the tokens, and the runbook's UPDATE makes room at once`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let admin = try await stack.token(role: "admin")
            let opened = try await Self.put(stack, #"{"project":"p","total_limit":100}"#, admin, ["If-Match": "\"0\""])
            #expect(opened.status == 200 && opened.headers["etag"] == "\"1\"")
            let stale = try await Self.put(stack, #"{"project":"p","total_limit":9}"#, admin, ["If-Match": "\"0\""])
            #expect(stale.status == 412 && stale["code"] == "precondition_failed")
            let held = #"{"request_id":"r1","tokens":60,"project":"p"}"#
            #expect(try await stack.post("/budget/request", held, token: token).status == 201)
            let asked = #"{"request_id":"r2","tokens":60,"project":"p"}"#
            let denied = try await stack.post("/budget/request", asked, token: token)
            #expect(denied.status == 402 && denied["code"] == "budget_exhausted")
            let holds = #""used":0,"reserved":60,"limit":100,"holds":[{"project":"p","request_id":"r1""#
            #expect(denied.body.contains(holds))
            try await stack.postgres.sql(
                "UPDATE budget_limits SET total_limit = 2000000 WHERE tenant_id = 'acme'", database: stack.database)
            let raised = #"{"request_id":"r3","tokens":1000000,"project":"p"}"#
            #expect(try await stack.post("/budget/request", raised, token: token).status == 201)
            let still = try await stack.post("/budget/request", asked, token: token)
            #expect(still.status == 402 && still.headers["idempotent-replayed"] == "true", "A denial stays a denial.")
            let verified = try await stack.get("/budget/verification", token: admin)
            #expect(verified.body == #"{"consistent":true,"differences":[]}"#)
        }
    }

    @Test func `a reservation is settled once and an overage blocks the project`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let admin = try await stack.token(role: "admin")
            _ = try await Self.put(stack, #"{"project":"default","total_limit":1000}"#, admin)
            _ = try await stack.post("/budget/request", #"{"request_id":"r","tokens":60}"#, token: token)
            let commit = #"{"request_id":"r","actual":61}"#
            let stranger = try await stack.token(tenant: "other")
            #expect(try await stack.post("/budget/commit", commit, token: stranger).status == 404)
            let settled = try await stack.post("/budget/commit", commit, token: token)
            #expect(settled.status == 200 && settled.body.contains(#""state":"committed""#))
            #expect(settled.body.contains(#""actual":61,"overage":1"#), "\(settled.body)")
            let again = try await stack.post("/budget/commit", commit, token: token)
            #expect(again.body == settled.body && again.headers["idempotent-replayed"] == "true")
            let release = try await stack.post("/budget/release", #"{"request_id":"r"}"#, token: token)
            #expect(release.status == 409 && release["code"] == "conflict")
            let blocked = try await stack.post("/budget/request", #"{"request_id":"s","tokens":1}"#, token: token)
            #expect(blocked.status == 402 && blocked["code"] == "budget_blocked")
            let state = try await stack.get("/budget/state?project=default", token: token)
            #expect(state.body.contains(#""limited":true,"available":0"#) && state.body.contains(#""blocked":true"#))
        }
    }

    @Test func `an abandoned hold is swept and reservations are listed page by page`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            for id in ["a|b", "c", "d"] {
                let body = #"{"request_id":"\#(id)","tokens":5,"ttl_seconds":1}"#
                #expect(try await stack.post("/budget/request", body, token: token).status == 201)
            }
            try await eventually {
                let pending = try await stack.get("/budget/reservations?state=pending", token: token)
                return pending.body == #"{"reservations":[]}"#
            }
            var seen: [String] = []
            var cursor = ""
            while true {
                let page = try await stack.get("/budget/reservations?limit=1\(cursor)", token: token)
                let fields = try page.json.fields ?? []
                seen += (fields.first { $0.name == "reservations" }?.value.array ?? []).compactMap {
                    $0.fields?.first { $0.name == "request_id" }?.value.string
                }
                guard let next = page["next_cursor"] else { break }
                cursor = "&cursor=\(next)"
            }
            #expect(seen == ["a|b", "c", "d"])
        }
    }

    @Test func `each bad body names its field and each role does only what is its own`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            for (body, field) in [
                (#"{"request_id":"x","tokens":0}"#, "tokens"), (#"{"request_id":"a b","tokens":1}"#, "request_id"),
                (#"{"tokens":1}"#, "request_id"), (#"{"request_id":"x"}"#, "tokens"),
                (#"{"request_id":"x","tokens":1,"amount":1}"#, "amount"),
                (#"{"request_id":"x","tokens":1,"ttl_seconds":0}"#, "ttl_seconds"),
                (#"{"request_id":"x","tokens":1,"tenant":"other"}"#, "tenant"),
                (#"{"request_id":"x","tokens":1,"task_id":"q"}"#, "task_id"),
                (#"{"request_id":"x","tokens":1,"project":"a b"}"#, "project"),
            ] {
                let answer = try await stack.post("/budget/request", body, token: token)
                #expect(answer.status == 422 && answer.body.contains("\"field\":\"\(field)\""), "\(answer.body)")
            }
            #expect(try await stack.get("/budget/reservations", token: token).body == #"{"reservations":[]}"#)
            #expect(try await Self.put(stack, #"{"project":"p","total_limit":5}"#, token).status == 403)
            #expect(try await stack.get("/budget/verification", token: token).status == 403)
            let observer = try await stack.token(role: "observer")
            let asked = #"{"request_id":"x","tokens":1}"#
            #expect(try await stack.post("/budget/request", asked, token: observer).status == 403)
            #expect(try await stack.get("/budget/state", token: observer).status == 200)
            #expect(try await stack.get("/budget/state", token: nil).status == 401)
        }
    }

    static func put(
        _ stack: OrchestratorUnderTest, _ body: String, _ token: String, _ headers: [String: String] = [:]
    ) async throws -> OrchestratorUnderTest.Answer {
        try await stack.send(
            "PUT", "/budget/limits", token: token, headers: headers, body: Array(body.utf8))
    }
}
