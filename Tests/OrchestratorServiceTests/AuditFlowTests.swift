import Contracts
import Foundation
import Testing

/// The audit log as the API writes and shows it.
@Suite(.serialized) struct `Audit log` {
    @Test func `changes and refusals are listed, by tenant, newest first`() async throws {
        try await OrchestratorUnderTest.run(environment: Accounts.environment) { stack in
            let admin = try await stack.token(role: "admin", subject: "root")
            let observer = try await stack.token(role: "observer", subject: "olga")
            let task = try await stack.submit()
            _ = try await stack.post("/tasks/\(task)/cancel", nil, token: observer)
            _ = try await stack.post("/users", #"{"name":"x y","role":"developer"}"#, token: admin)
            _ = try await stack.post("/tasks", "{}", token: nil)
            _ = try await stack.submit(tenant: "beta")
            #expect(try await stack.get("/tasks/\(task)", token: observer).status == 200)
            try await eventually { try await lines(stack, admin).count == 3 }
            #expect(
                try await lines(stack, admin).sorted() == [
                    "olga observer cancelTask POST /tasks/\(task)/cancel denied",
                    "root admin addUser POST /users failed", "tester developer submitTask POST /tasks allowed",
                ]
            )
            #expect(try await lines(stack, admin, "?actor=olga").count == 1)
            #expect(try await lines(stack, admin, "?outcome=failed&action=addUser").count == 1)
            #expect(try await lines(stack, admin, "?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z").isEmpty)
            try await eventually { try await lines(stack, admin, "?scope=installation").count == 1 }
            let `operator` = try await stack.token(role: "operator")
            #expect(try await lines(stack, `operator`).count >= 3)
            #expect(try await stack.get("/audit?scope=installation", token: `operator`).status == 403)
            #expect(try await stack.get("/audit?outcome=maybe", token: admin).status == 400)
        }
    }

    @Test func `a listing goes on where its page ended`() async throws {
        try await OrchestratorUnderTest.run(environment: Accounts.environment) { stack in
            let admin = try await stack.token(role: "admin")
            for number in 1...7 {
                _ = try await stack.submit()
                // A submission is answered when its entry is committed, not before.
                #expect(try await lines(stack, admin).count == number)
            }
            var seen: [Int] = []
            var query = "?limit=3"
            for _ in 1...3 {
                var page = try JSONReader(try await stack.get("/audit\(query)", token: admin).json)
                for entry in try page.optionalArray("entries") ?? [] {
                    var entry = try JSONReader(entry)
                    seen.append(try entry.int("seq"))
                }
                query = try page.optionalString("next_cursor").map { "?limit=3&cursor=\($0)" } ?? ""
            }
            #expect(seen == [7, 6, 5, 4, 3, 2, 1] && query.isEmpty)
        }
    }

    @Test func `a flood of refusals becomes a few rows`() async throws {
        try await OrchestratorUnderTest.run(environment: Accounts.environment) { stack in
            let admin = try await stack.token(role: "admin")
            let observer = try await stack.token(role: "observer", subject: "olga")
            for _ in 1...60 { #expect(try await stack.post("/tasks", "{}", token: observer).status == 403) }
            _ = try await stack.submit()
            try await eventually { try await lines(stack, admin, "?limit=200&actor=tester").count == 1 }
            #expect(try await lines(stack, admin, "?limit=200&actor=olga").count == 20)
        }
    }

    private func lines(_ stack: OrchestratorUnderTest, _ token: String, _ query: String = "") async throws -> [String] {
        let answer = try await stack.get("/audit\(query)", token: token)
        var page = try JSONReader(answer.json)
        return try (page.optionalArray("entries") ?? []).map { entry in
            var entry = try JSONReader(entry)
            let words = try ["actor", "role", "action", "resource", "outcome"].map { try entry.string($0) }
            return words.joined(separator: " ")
        }
    }
}
