import Contracts
import Foundation
import Testing

/// What the API refuses, and that a refusal changes nothing.
@Suite struct `Admission` {
    @Test func `each bad input gets its own answer and changes nothing`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let bad: [(String, [UInt8], Int, String)] = [
                ("malformed", Array(#"{"input":"#.utf8), 400, "json_malformed"),
                ("bad UTF-8", Array(#"{"input":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8), 400, "json_bad_utf8"),
                ("NUL", Array(#"{"input":"a\u0000b"}"#.utf8), 400, "json_nul_in_text"),
                ("duplicate field", Array(#"{"input":1,"input":2}"#.utf8), 400, "json_duplicate_key"),
                ("wrong type", Array(#"{"priority":"high"}"#.utf8), 422, "validation_failed"),
                ("unknown field", Array(#"{"tenant":"other"}"#.utf8), 422, "validation_failed"),
                ("unknown workflow", Array(#"{"workflow":"nope"}"#.utf8), 422, "validation_failed"),
                ("wildcard role", Array(#"{"role":"*"}"#.utf8), 422, "validation_failed"),
                ("role with space", Array(#"{"role":"a b"}"#.utf8), 422, "validation_failed"),
                ("SQL in a name", Array(#"{"name":"test; DROP TABLE users;"}"#.utf8), 422, "validation_failed"),
                (
                    "oversized", Array("{\"input\":\"\(String(repeating: "x", count: 2 << 20))\"}".utf8), 413,
                    "body_too_large"
                ),
            ]
            for (what, body, status, code) in bad {
                let answer = try await stack.send("POST", "/tasks", token: token, body: body)
                #expect(answer.status == status, "\(what): \(answer.body)")
                #expect(answer["code"] == code, "\(what)")
            }
            let listed = try await stack.get("/tasks", token: token)
            #expect(listed.body == #"{"tasks":[]}"#)
        }
    }

    @Test func `each bad token is told apart`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let good = try await stack.token()
            let parts = good.split(separator: ".")
            let none = Data(#"{"alg":"none","typ":"JWT"}"#.utf8).base64EncodedString().replacing("=", with: "")
            let tokens: [(String, String?, String)] = [
                ("none", nil, "unauthenticated"),
                ("expired", try await stack.token(expiresIn: -3600), "token_expired"),
                ("audience", try await stack.token(audience: "other"), "token_audience"),
                ("secret", try await stack.token(secret: "another-secret-of-32-bytes-at-all"), "token_signature"),
                ("alg none", "\(none).\(parts[1]).", "token_algorithm"),
                ("unsigned", "\(parts[0]).\(parts[1]).", "token_signature"),
                ("garbage", "x.y", "token_malformed"),
            ]
            for (what, token, code) in tokens {
                let answer = try await stack.get("/tasks", token: token)
                #expect(answer.status == 401, "\(what)")
                #expect(answer["code"] == code, "\(what): \(answer.body)")
            }
        }
    }

    @Test func `roles, tenants, routes and methods are enforced`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let task = try await stack.submit()
            let observer = try await stack.token(role: "observer")
            #expect(try await stack.post("/tasks", "{}", token: observer).status == 403)
            let stranger = try await stack.token(tenant: "other")
            for path in ["/tasks/\(task)", "/tasks/\(task)/events", "/tasks/\(task)/explain"] {
                #expect(try await stack.get(path, token: stranger).status == 404)
            }
            #expect(try await stack.post("/tasks/\(task)/cancel", nil, token: stranger).status == 404)
            #expect(try await stack.get("/nowhere", token: stranger).status == 404)
            let wrong = try await stack.send("DELETE", "/tasks", token: stranger, body: nil)
            #expect(wrong.status == 405)
            #expect(wrong.headers["allow"] == "GET, HEAD, POST")
            #expect(try await stack.get("/tasks/not-a-uuid", token: stranger).status == 404)
        }
    }

    @Test func `an idempotency key is answered alike once, and refused for another body`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let token = try await stack.token()
            let key = ["Idempotency-Key": "order-1"]
            let first = try await stack.post("/tasks", #"{"input":{"a":1,"b":2}}"#, token: token, headers: key)
            let again = try await stack.post(
                "/tasks", #"{ "input": {"b": 2, "a": 1.0} }"#, replica: 1, token: token, headers: key
            )
            #expect(first.status == 202 && again.status == 202)
            #expect(first["id"] == again["id"])
            #expect(first.headers["location"] == again.headers["location"])
            #expect(again.headers["idempotent-replayed"] == "true")
            let other = try await stack.post("/tasks", #"{"input":3}"#, token: token, headers: key)
            #expect(other.status == 422)
            #expect(other["code"] == "idempotency_mismatch")

            let answers = try await withThrowingTaskGroup(of: String?.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        try await stack.post(
                            "/tasks", "{}", replica: number % 2, token: token, headers: ["Idempotency-Key": "race"]
                        )["id"]
                    }
                }
                return try await group.reduce(into: Set<String?>()) { $0.insert($1) }
            }
            #expect(answers.count == 1, "one task, whoever came first")
        }
    }

    @Test func `limits are counted per caller and say when to come back`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token(role: "observer")
            var last = try await stack.get("/tasks", token: token)
            for _ in 0..<3 { last = try await stack.get("/tasks", token: token) }
            #expect(last.status == 429)
            #expect(last.headers["retry-after"].flatMap { Int($0) } ?? 0 > 0)
            #expect(last["code"] == "rate_limited")
            let other = try await stack.get("/tasks", token: stack.token(role: "observer", subject: "another"))
            #expect(other.status == 200)
        }
    }

    @Test func `lists page by cursor without repeating or skipping`() async throws {
        try await OrchestratorUnderTest.run { stack in
            var submitted: Set<String> = []
            for _ in 0..<7 { submitted.insert(try await stack.submit()) }
            let token = try await stack.token()
            var seen: [String] = []
            var path = "/tasks?limit=3"
            while true {
                let page = try await stack.get(path, token: token).json
                seen +=
                    page.fields?.first { $0.name == "tasks" }?.value.array?.compactMap {
                        $0.fields?.first { $0.name == "id" }?.value.string
                    } ?? []
                guard let cursor = page.fields?.first(where: { $0.name == "next_cursor" })?.value.string else { break }
                path = "/tasks?limit=3&cursor=\(cursor)"
            }
            #expect(seen.count == 7 && Set(seen) == submitted)
            #expect(try await stack.get("/tasks?cursor=tampered", token: token).status == 400)
            #expect(try await stack.get("/tasks?colour=red", token: token).status == 400)
        }
    }
}
