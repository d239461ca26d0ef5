import Contracts
import Testing

/// The fleet's circuit breakers over HTTP.
@Suite(.serialized, .timeLimit(.minutes(5))) struct BreakerAPITests {
    private static func breaker(_ answer: OrchestratorUnderTest.Answer) throws -> JSON? {
        var reader = try JSONReader(answer.json)
        return try reader.optionalArray("circuit_breakers")?.first { json in
            var breaker = try JSONReader(json)
            return try breaker.string("name") == "external_api"
        }
    }

    private static func text(_ json: JSON?, _ field: String) -> String? {
        json?.fields?.first { $0.name == field }?.value.string
    }

    @Test func `a fresh stack shows its breakers closed, and the runbook's commands work as they stand`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let admin = try await stack.token(role: "admin")
            let listed = try await stack.get("/circuit-breakers", token: stack.token(role: "observer"))
            #expect(listed.status == 200)
            #expect(try Self.text(Self.breaker(listed), "state") == "closed")
            let metrics = try await stack.get("/metrics", token: nil)
            #expect(metrics.body.contains(#"circuit_breaker_state{name="external_api"} 0"#))
            // `curl -d` calls its body a form.
            let reset = try await stack.post(
                "/admin/circuit-breaker/reset", #"{"name": "external_api"}"#, token: admin,
                headers: ["Content-Type": "application/x-www-form-urlencoded"])
            #expect(reset.status == 200 && reset["state"] == "closed" && reset["actor"] == "tester", "\(reset)")
        }
    }

    @Test func `a breaker forced open is open on every replica until it is reset`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let admin = try await stack.token(role: "operator")
            let body = #"{"name": "external_api", "reason": "drill", "expires_in_seconds": 600}"#
            let forced = try await stack.post("/admin/circuit-breaker/force-open", body, replica: 0, token: admin)
            #expect(forced.status == 200 && forced["state"] == "open" && forced["mode"] == "force_open", "\(forced)")
            let version = try #require(forced.headers["etag"])
            for replica in 0..<2 {
                try await eventually {
                    let metrics = try await stack.get("/metrics", replica: replica, token: nil)
                    return metrics.body.contains(#"circuit_breaker_state{name="external_api"} 2"#)
                }
            }
            let seen = try await Self.breaker(stack.get("/circuit-breakers", replica: 1, token: admin))
            #expect(Self.text(seen, "state") == "open" && Self.text(seen, "reason") == "drill")
            let stale = try await stack.post(
                "/admin/circuit-breaker/disable", body, token: admin, headers: ["If-Match": "\"1\""])
            #expect(stale.status == 412 && stale["code"] == "precondition_failed")
            let current = try await stack.post(
                "/admin/circuit-breaker/metrics-only", body, replica: 1, token: admin, headers: ["If-Match": version])
            #expect(current.status == 200 && current["mode"] == "metrics_only", "\(current)")
            let reset = try await stack.post("/admin/circuit-breaker/reset", #"{"name":"external_api"}"#, token: admin)
            #expect(reset.status == 200 && reset["mode"] == "automatic")
            for replica in 0..<2 {
                try await eventually {
                    let metrics = try await stack.get("/metrics", replica: replica, token: nil)
                    return metrics.body.contains(#"circuit_breaker_state{name="external_api"} 0"#)
                }
            }
        }
    }

    @Test func `refusals say what is wrong`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let admin = try await stack.token(role: "admin")
            let rows: [(path: String, body: String, token: String?, status: Int, text: String)] = [
                ("reset", #"{"name":"external_api"}"#, nil, 401, "unauthenticated"),
                ("reset", #"{"name":"external_api"}"#, try await stack.token(role: "developer"), 403, "breaker.reset"),
                ("reset", #"{"name":"nobody"}"#, admin, 404, "circuit breaker"),
                ("reset", "{}", admin, 422, "name"),
                ("reset", #"{"name":"a b"}"#, admin, 422, "name"),
                ("reset", #"{"name":"external_api","expires_in_seconds":5}"#, admin, 422, "expires_in_seconds"),
                ("reset", "name=external_api", admin, 400, "json_malformed"),
                ("force-open", #"{"name":"external_api"}"#, admin, 422, "reason"),
                ("force-open", #"{"name":"external_api","reason":""}"#, admin, 422, "reason"),
                ("disable", #"{"name":"external_api","reason":"r","expires_in_seconds":0}"#, admin, 422, "expires"),
                ("metrics-only", #"{"name":"external_api","reason":"r","why":1}"#, admin, 422, "why"),
            ]
            for row in rows {
                let answer = try await stack.post("/admin/circuit-breaker/\(row.path)", row.body, token: row.token)
                #expect(answer.status == row.status && answer.body.contains(row.text), "\(row): \(answer)")
            }
            let header = try await stack.post(
                "/admin/circuit-breaker/reset", #"{"name":"external_api"}"#, token: admin, headers: ["If-Match": "x"])
            #expect(header.status == 400 && header["code"] == "invalid_header")
            #expect(try await stack.get("/circuit-breakers", token: nil).status == 401)
            #expect(try await stack.get("/circuit-breakers", token: stack.token(role: "agent")).status == 403)
        }
    }
}
