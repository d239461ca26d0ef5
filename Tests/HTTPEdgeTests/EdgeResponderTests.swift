internal import Contracts
internal import Foundation
internal import HTTPEdge
internal import HTTPTypes
import Testing

/// One request through a real server.
@Suite(.timeLimit(.minutes(5))) struct EdgeResponderTests {
    private func json(_ answer: RawAnswer) throws -> [String: JSON] {
        Dictionary(try #require(try JSON(parsing: answer.body).fields).map { ($0.name, $0.value) }) { first, _ in first
        }
    }

    /// Every refusal is a problem document that agrees with its own status line.
    private func expectProblem(_ answer: RawAnswer, _ code: ProblemCode) throws {
        #expect(answer.status == code.status.code)
        #expect(answer.headers["content-type"] == "application/problem+json")
        let problem = try json(answer)
        #expect(problem["code"]?.string == code.rawValue)
        #expect(problem["type"]?.string == "urn:golden:problem:\(code.rawValue)")
        #expect(problem["status"]?.int == answer.status)
        #expect(problem["title"]?.string == code.title)
        #expect(problem["detail"]?.string?.isEmpty == false)
    }

    @Test func `whose request failed is told to the metrics, and of no other`() async throws {
        let broken = Route(
            .get, "/broken", access: .require(.taskRead),
            operation: Operation(id: "broken", summary: "Fails.", tag: "things", answers: []),
            handler: { _, _ in throw POSIXError(.EIO) })
        try await TestEdge.run(routes: [broken]) { server in
            _ = try await server.send("GET", "/things", token: Mint.hs256())
            _ = try await server.send("GET", "/nothing")
            #expect(server.metrics.callers.isEmpty)
            #expect(try await server.send("GET", "/broken", token: Mint.hs256()).status == 500)
            #expect(try await server.send("GET", "/fails").status == 500)
            #expect(server.metrics.callers == ["acme/ada", "127.0.0.1"])
        }
    }

    @Test func `a good request is answered, with the headers every answer has`() async throws {
        try await TestEdge.run { server in
            let answer = try await server.send("GET", "/things?limit=7", token: Mint.hs256())
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"] == "application/json")
            #expect(answer.headers["x-content-type-options"] == "nosniff")
            #expect(answer.headers["cache-control"] == "no-store")
            #expect(answer.headers["x-request-id"]?.isEmpty == false)
            #expect(answer.headers["date"] != nil)
            let body = try json(answer)
            #expect(body["limit"]?.int == 7)
            #expect(body["tenant"]?.string == "acme")
        }
    }

    @Test func `an unknown path is 404 and an unknown method 405 with Allow, before any token is asked for`()
        async throws
    {
        try await TestEdge.run { server in
            for path in [
                "/nothing", "/things/", "/things/a/b", "/", "//things", "/things/%zz", "/things/%00", "/THINGS",
            ] {
                try expectProblem(try await server.send("GET", path), .notFound)
            }
            for method in ["DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"] {
                let answer = try await server.send(method, "/things")
                try expectProblem(answer, .methodNotAllowed)
                #expect(answer.headers["allow"] == "GET, HEAD, POST")
            }
            #expect(try await server.send("POST", "/things/a").headers["allow"] == "GET, HEAD")
            let metrics = server.metrics.recorded
            #expect(metrics.contains("GET unmatched 404"))
            #expect(metrics.contains("other unmatched 405"))
            #expect(!metrics.contains { $0.contains("/nothing") || $0.contains("PROPFIND") })
        }
    }

    @Test func `without a good token it is 401, with a challenge`() async throws {
        try await TestEdge.run { server in
            let none = try await server.send("GET", "/things")
            try expectProblem(none, .unauthenticated)
            #expect(none.headers["www-authenticate"] == "Bearer realm=\"golden\"")
            let expired = try await server.send("GET", "/things", token: Mint.hs256(Mint.claims(expiresIn: -100)))
            try expectProblem(expired, .tokenExpired)
            #expect(expired.headers["www-authenticate"]?.contains("error=\"invalid_token\"") == true)
        }
    }

    @Test func `a role without the permission is 403`() async throws {
        try await TestEdge.run { server in
            let observer = Mint.hs256(Mint.claims(role: "observer"))
            try expectProblem(
                try await server.send(
                    "POST", "/things", headers: ["Content-Type": "application/json"], token: observer, body: "{}"
                ), .forbidden
            )
            try expectProblem(try await server.send("POST", "/admin/reset", token: Mint.hs256()), .forbidden)
            let admin = Mint.hs256(Mint.claims(role: "admin"))
            #expect(try await server.send("POST", "/admin/reset", token: admin).status == 200)
        }
    }

    @Test func `every route refuses every role that lacks its permission, and no other`() async throws {
        try await TestEdge.run { server in
            for role in Role.allCases where role != .anonymous {
                let token = Mint.hs256(Mint.claims(role: role.rawValue))
                for route in TestEdge.routes {
                    guard case .require(let permission) = route.access else { continue }
                    let path = route.pattern.replacing("{id}", with: "x")
                    let status = try await server.send(route.method.rawValue, path, token: token).status
                    #expect((status == 403) == !role.may(permission), "\(role) \(route.operation.id) \(status)")
                }
            }
        }
    }

    @Test func `HEAD is answered like GET, without the body`() async throws {
        try await TestEdge.run { server in
            let get = try await server.send("GET", "/health")
            let head = try await server.send("HEAD", "/health")
            #expect(head.status == 200)
            #expect(head.headers["content-length"] == get.headers["content-length"])
            let missing = try await server.send("HEAD", "/nothing")
            #expect(missing.status == 404)
        }
    }

    @Test func `an error nobody expected is 500 and tells the client nothing of its cause`() async throws {
        try await TestEdge.run { server in
            let answer = try await server.send("GET", "/fails")
            try expectProblem(answer, .internalError)
            #expect(!answer.text.contains("POSIX") && answer.text.contains(answer.headers["x-request-id"] ?? "?"))
        }
    }

    @Test func `the service says what its own errors mean`() async throws {
        try await TestEdge.run(adjust: { edge in
            edge.problem = { error, operation in
                guard error is POSIXError, operation?.id == "fails" else { return nil }
                return Problem(.unavailable, "Storage is away.", retryAfterSeconds: 2)
            }
        }) { server in
            let answer = try await server.send("GET", "/fails")
            try expectProblem(answer, .unavailable)
            #expect(answer.headers["retry-after"] == "2")
        }
    }

    @Test func `the caller's request id is kept when it is harmless`() async throws {
        try await TestEdge.run { server in
            let kept = try await server.send("GET", "/health", headers: ["X-Request-Id": "abc-1"])
            #expect(kept.headers["x-request-id"] == "abc-1")
            let long = String(repeating: "a", count: 129)
            for bad in ["a b", long, "é"] {
                let answer = try await server.send("GET", "/health", headers: ["X-Request-Id": bad])
                #expect(answer.headers["x-request-id"] != bad)
            }
        }
    }

    static let badQueries = [
        ("limit=0", "invalid_query", "limit"), ("limit=201", "invalid_query", "limit"),
        ("limit=", "invalid_query", "limit"), ("limit=1e1", "invalid_query", "limit"),
        ("limit=1&limit=2", "invalid_query", "limit"), ("color=red", "invalid_query", "color"),
        ("limit=%zz", "invalid_query", nil), ("limit=%ff", "invalid_query", nil), ("a%00=1", "invalid_query", nil),
        ("cursor=nonsense", "invalid_cursor", "cursor"), ("cursor=", "invalid_cursor", "cursor"),
    ]

    @Test(arguments: badQueries)
    func `a query that is not understood is 400 and names the parameter`(
        query: String, code: String, field: String?
    ) async throws {
        try await TestEdge.run { server in
            let answer = try await server.send("GET", "/things?" + query, token: Mint.hs256())
            try expectProblem(answer, try #require(ProblemCode(rawValue: code)))
            let named = try json(answer)["errors"]?.array?.first?.fields?.first { $0.name == "field" }?.value.string
            #expect(named == field)
        }
    }

    @Test func `a cursor leads to the next page, and a changed one nowhere`() async throws {
        try await TestEdge.run { server in
            let first = try json(try await server.send("GET", "/things?limit=7", token: Mint.hs256()))
            let cursor = try #require(first["next_cursor"]?.string)
            let second = try await server.send("GET", "/things?cursor=" + cursor, token: Mint.hs256())
            #expect(second.status == 200)
            for index in cursor.indices {
                var changed = cursor
                changed.replaceSubrange(index...index, with: cursor[index] == "A" ? "B" : "A")
                let answer = try await server.send("GET", "/things?cursor=" + changed, token: Mint.hs256())
                try expectProblem(answer, .invalidCursor)
            }
        }
    }

    @Test func `a head beyond the limits is refused`() async throws {
        try await TestEdge.run { server in
            let long = String(repeating: "x", count: 17 * 1024)
            try expectProblem(try await server.send("GET", "/health", headers: ["X-Long": long]), .headersTooLarge)
            let many = Dictionary(uniqueKeysWithValues: (0..<101).map { ("X-H\($0)", "1") })
            try expectProblem(try await server.send("GET", "/health", headers: many), .headersTooLarge)
            let target = "/health?" + String(repeating: "x", count: 9 * 1024)
            try expectProblem(try await server.send("GET", target), .targetTooLong)
            // So far beyond that the parser gives up.
            let huge = String(repeating: "x", count: 200 * 1024)
            let answer = try await server.send("GET", "/health", headers: ["X-Huge": huge])
            #expect(answer.status == 431)
            #expect(try await server.send("GET", "/health").status == 200)
        }
    }

    @Test func `limits are counted before a reading and after a valid writing, and show in the headers`() async throws {
        let policy = RateLimitDecision.Policy(
            name: "role", quota: 30, windowSeconds: 60, remaining: 0, resetSeconds: 9, isViolated: true
        )
        try await TestEdge.run(adjust: { edge in
            edge.rateLimiter = { request in
                #expect(request.principal?.tenant.text == "acme")
                let isAdmitted = request.route == "listThings"
                return RateLimitDecision(
                    policies: [policy], isAdmitted: isAdmitted, retryAfterSeconds: isAdmitted ? nil : 2
                )
            }
        }) { server in
            let admitted = try await server.send("GET", "/things", token: Mint.hs256())
            #expect(admitted.status == 200)
            #expect(admitted.headers["ratelimit-policy"] == "\"role\";q=30;w=60")
            #expect(admitted.headers["ratelimit"] == "\"role\";r=0;t=9")
            let headers = ["Content-Type": "application/json"]
            let invalid = try await server.send("POST", "/things", headers: headers, token: Mint.hs256(), body: "{}")
            try expectProblem(invalid, .validationFailed)
            let valid = #"{"name":"a"}"#
            let refused = try await server.send("POST", "/things", headers: headers, token: Mint.hs256(), body: valid)
            try expectProblem(refused, .rateLimited)
            #expect(refused.headers["retry-after"] == "2")
            #expect(refused.headers["ratelimit"] != nil)
            #expect(refused.text.contains(#""violated_policies":[{"name":"role""#))
        }
    }
}
