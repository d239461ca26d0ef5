import Contracts
import Foundation
internal import TestSupport
import Testing

/// Learning governance over HTTP, as agents' keepers and approvers meet it.
@Suite struct `Governance API` {
    static let limits = ["GOLDEN_RATE_LIMITS": "admin=100000,operator=100000,developer=100000,observer=100000"]

    private static func body(_ role: String, _ content: String, base: Int) -> String {
        JSONWriter.object {
            $0.field("role", role)
            $0.field("content", content)
            $0.field("base_version", base)
            $0.field("reason", "Learned.")
        }.text
    }

    private static func number(_ field: String, _ answer: OrchestratorUnderTest.Answer) throws -> Int? {
        try answer.json.fields?.first { $0.name == field }?.value.int
    }

    @Test func `a proposal within the limits is active, and the next is blocked and says until when`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.limits) { stack in
            let token = try await stack.token(role: "operator", subject: "ada")
            let first = try await stack.post(
                "/governance/prompts", Self.body("developer", "Be good.\n", base: 0), token: token)
            #expect(first.status == 201 && first["verdict"] == "auto_approved", "\(first.body)")
            #expect(first.headers["location"] == "/governance/prompts/1")
            let second = try await stack.post(
                "/governance/prompts", Self.body("developer", "Be better.\n", base: 1), token: token)
            #expect(second.status == 201 && second["verdict"] == "blocked" && second["verdict_reason"] == "cooldown")
            let until = try #require(second["next_auto_at"])
            #expect(second["explanation"]?.hasPrefix("Blocked until \(until)") == true, "\(second.body)")
            let status = try await stack.get("/governance/status?role=developer", token: token)
            #expect(status.body.contains(#""status":"cooldown""#) && status.body.contains(until), "\(status.body)")
            let shown = try await stack.get("/governance/prompts/2", token: token)
            #expect(shown["content"] == "Be better.\n" && shown["next_auto_at"] == until)
            #expect(
                shown["diff"] == "--- developer v1\n+++ developer v2\n@@ -1,1 +1,1 @@\n-Be good.\n+Be better.\n",
                "\(shown.body)")
        }
    }

    @Test func `nobody approves their own proposal, and an overtaken one is refused`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.limits) { stack in
            let ada = try await stack.token(role: "admin", subject: "ada")
            let bob = try await stack.token(role: "admin", subject: "bob")
            for text in ["One.", "Two."] {
                let filed = try await stack.post(
                    "/governance/prompts", Self.body("security", text, base: 0), token: ada)
                #expect(filed.status == 201 && filed["verdict"] == "pending_review", "\(filed.body)")
            }
            let own = try await stack.post("/governance/prompts/1/approve", nil, token: ada)
            #expect(own.status == 403 && own["code"] == "self_approval", "\(own.body)")
            let approved = try await stack.post(
                "/governance/prompts/2/approve", #"{"notes":"Fine."}"#, token: bob)
            #expect(approved.status == 200 && approved["status"] == "approved" && approved["reviewed_by"] == "bob")
            let late = try await stack.post("/governance/prompts/1/approve", "{}", token: bob)
            #expect(late.status == 409 && late["detail"]?.contains("based on version 0, but 2 is active") == true)
            let outdated = try await stack.post(
                "/governance/prompts", Self.body("security", "Three.", base: 0), token: ada)
            #expect(outdated.status == 409 && outdated["code"] == "conflict", "\(outdated.body)")
            let withdrawn = try await stack.post("/governance/prompts/1/reject", nil, token: ada)
            #expect(withdrawn.status == 200 && withdrawn["status"] == "rejected")
        }
    }

    @Test func `a text that was refused before waits for a human, and is said to`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.limits) { stack in
            let token = try await stack.token(role: "admin", subject: "ada")
            _ = try await stack.post("/governance/prompts", Self.body("developer", "One.", base: 0), token: token)
            let proposal = Self.body("developer", "Two.", base: 1)
            #expect(try await stack.post("/governance/prompts", proposal, token: token)["verdict"] == "blocked")
            #expect(try await stack.post("/governance/prompts/2/reject", nil, token: token).status == 200)
            let again = try await stack.post("/governance/prompts", proposal, token: token)
            #expect(again.status == 201 && again["verdict"] == "pending_review", "\(again.body)")
            #expect(again["verdict_reason"] == "refused_before" && again["next_auto_at"] == nil, "\(again.body)")
            let said = "It waits for a human: this text was rejected, or rolled back from"
            #expect(again["explanation"]?.hasPrefix(said) == true, "\(again.body)")
        }
    }

    @Test func `nobody approves with one of their names what they proposed with another`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.limits) { stack in
            let ada = try await stack.token(role: "admin", subject: "ada")
            func exchange(by maker: String) async throws -> String {
                let key = try await stack.post("/api-keys", #"{"label":"ci","role":"admin"}"#, token: maker)
                let body = #"{"api_key":"\#(try #require(key["key"]))"}"#
                return try #require(try await stack.post("/auth/token", body, token: nil)["access_token"])
            }
            let key = try await exchange(by: ada)
            let keyOfKey = try await exchange(by: key)
            let bobs = try await exchange(by: stack.token(role: "admin", subject: "bob"))
            let proposal = Self.body("security", "One.", base: 0)
            for (number, proposer) in [key, keyOfKey, ada].enumerated() {
                #expect(try await stack.post("/governance/prompts", proposal, token: proposer).status == 201)
                for approver in [ada, key, keyOfKey] {
                    let own = try await stack.post(
                        "/governance/prompts/\(number + 1)/approve", nil, token: approver)
                    #expect(own.status == 403 && own["code"] == "self_approval", "\(own.body)")
                }
            }
            let approved = try await stack.post("/governance/prompts/1/approve", nil, token: bobs)
            #expect(approved.status == 200, "\(approved.body)")
        }
    }

    @Test func `a rollback stands outside cooldown and limit, and is audited`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.limits) { stack in
            let ada = try await stack.token(role: "admin", subject: "ada")
            let bob = try await stack.token(role: "admin", subject: "bob")
            _ = try await stack.post("/governance/prompts", Self.body("developer", "One.", base: 0), token: ada)
            _ = try await stack.post("/governance/prompts", Self.body("developer", "Two.", base: 1), token: ada)
            #expect(try await stack.post("/governance/prompts/2/approve", nil, token: bob).status == 200)
            let bare = try await stack.post("/governance/prompts/1/activate", "{}", token: ada)
            #expect(bare.status == 422 && bare.body.contains(#""field":"reason""#), "\(bare.body)")
            let back = try await stack.post(
                "/governance/prompts/1/activate", #"{"reason":"Two broke the build."}"#, token: ada)
            #expect(back.status == 200 && back.body.contains(#""active":true"#), "\(back.body)")
            let again = try await stack.post("/governance/prompts/1/activate", #"{"reason":"x"}"#, token: ada)
            #expect(again.status == 409)
            let stats = try await stack.get("/governance/stats", token: ada)
            let developer = #"{"role":"developer","proposals":2,"auto_approved":1,"approved":1,"rejected":0,"#
            #expect(stats.body.contains(developer) && stats.body.contains(#""rollbacks":1"#), "\(stats.body)")
            let audit = try await stack.get("/audit?limit=50", token: ada)
            #expect(audit.body.contains("/governance/prompts/1/activate"), "\(audit.body)")
        }
    }

    @Test func `the runbook's statements unblock an update while the stack runs`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.limits) { stack in
            let token = try await stack.token(role: "operator", subject: "ada")
            func propose(_ text: String, _ base: Int) async throws -> String? {
                try await stack.post(
                    "/governance/prompts", Self.body("developer", text, base: base), token: token)["verdict"]
            }
            func sql(_ text: String) async throws { try await stack.postgres.sql(text, database: stack.database) }
            #expect(try await propose("One.", 0) == "auto_approved")
            #expect(try await propose("Two.", 1) == "blocked")
            try await sql("SELECT * FROM governance_status WHERE agent_role = 'developer'")
            try await sql("SELECT * FROM agent_prompts WHERE approval_status = 'pending_review'")
            try await sql("SELECT approve_prompt_update(2, 'admin', 'Reviewed and approved')")
            let shown = try await stack.get("/governance/prompts/2", token: token)
            #expect(shown["status"] == "approved" && shown.body.contains(#""active":true"#))
            #expect(try await propose("Three.", 2) == "blocked")
            try await sql("UPDATE learning_governance SET last_update_at = NULL WHERE agent_role = 'developer'")
            #expect(try await propose("Four.", 2) == "auto_approved")
        }
    }

    @Test func `sixty-four proposals through two replicas give one update and say why to the rest`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2, environment: Self.limits) { stack in
            let token = try await stack.token(role: "operator", subject: "ada")
            _ = try await stack.post("/governance/prompts", Self.body("tester", "One.", base: 0), token: token)
            try await stack.postgres.sql(
                "UPDATE learning_governance SET last_update_at = NULL WHERE agent_role = 'tester'",
                database: stack.database)
            let answers = try await withThrowingTaskGroup(of: OrchestratorUnderTest.Answer.self) { group in
                for number in 0..<64 {
                    group.addTask {
                        let body = Self.body("tester", "Of \(number).", base: 1)
                        let first = try await stack.post(
                            "/governance/prompts", body, replica: number % 2, token: token)
                        guard first.status == 409 else { return first }
                        return try await stack.post(
                            "/governance/prompts", body.replacing("\"base_version\":1", with: "\"base_version\":2"),
                            replica: number % 2, token: token)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let verdicts = Dictionary(grouping: answers) { $0["verdict"] ?? "\($0.status)" }
            #expect(verdicts["auto_approved"]?.count == 1 && verdicts["blocked"]?.count == 63)
            for answer in verdicts["blocked"] ?? [] {
                #expect(answer["verdict_reason"] == "cooldown" && answer["next_auto_at"] != nil, "\(answer.body)")
            }
        }
    }

    @Test func `prompts are listed page by page and filtered`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.limits) { stack in
            let token = try await stack.token(role: "operator", subject: "ada")
            for number in 1...5 {
                _ = try await stack.post(
                    "/governance/prompts", Self.body("security", "\(number)", base: 0), token: token)
            }
            _ = try await stack.post("/governance/prompts", Self.body("developer", "x", base: 0), token: token)
            var versions: [Int] = []
            var next: String? = ""
            while let cursor = next {
                let page = try await stack.get(
                    "/governance/prompts?role=security&status=pending_review&limit=2"
                        + (cursor.isEmpty ? "" : "&cursor=\(cursor)"), token: token)
                let prompts = try page.json.fields?.first { $0.name == "prompts" }?.value.array ?? []
                versions += prompts.compactMap { $0.fields?.first { $0.name == "version" }?.value.int }
                #expect(!page.body.contains("content\""))
                next = page["next_cursor"]
            }
            #expect(versions == [5, 4, 3, 2, 1])
            #expect(try await stack.get("/governance/prompts?status=lost", token: token).status == 400)
        }
    }

    @Test func `rules change for admins only, and only at the version they saw`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.limits) { stack in
            let admin = try await stack.token(role: "admin")
            let rules = Array(
                #"{"max_updates_per_day":9,"cooldown_hours":0,"require_human_approval":false}"#.utf8)
            func put(_ path: String, _ match: String?, token: String) async throws -> OrchestratorUnderTest.Answer {
                try await stack.send(
                    "PUT", path, token: token, headers: match.map { ["If-Match": $0] } ?? [:], body: rules)
            }
            let path = "/governance/rules/developer"
            #expect(try await put(path, nil, token: stack.token(role: "operator")).status == 403)
            let stale = try await put(path, "\"4-2-auto\"", token: admin)
            #expect(stale.status == 412 && stale.body.contains(#""rules_version":"5-2-auto""#), "\(stale.body)")
            #expect(try await put(path, "\"latest\"", token: admin).status == 400)
            let set = try await put(path, "\"5-2-auto\"", token: admin)
            #expect(set.status == 200 && set.headers["etag"] == "\"9-0-auto\"", "\(set.body)")
            #expect(try await put("/governance/rules/plumber", "\"none\"", token: admin).status == 200)
            #expect(try await put("/governance/rules/a.b", nil, token: admin).status == 422)
        }
    }

    @Test func `every refusal has its own status and code`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.limits) { stack in
            let admin = try await stack.token(role: "admin")
            let developer = try await stack.token()
            let good = Self.body("developer", "x", base: 0)
            let huge = Self.body("developer", String(repeating: "x", count: 262_145), base: 0)
            let nul = good.replacing("\"x\"", with: "\"\\u0000\"")
            let walk: [(method: String, path: String, body: String?, token: String?, status: Int, code: String)] = [
                ("GET", "/governance/status", nil, nil, 401, "unauthenticated"),
                ("GET", "/governance/status", nil, developer, 403, "forbidden"),
                ("POST", "/governance/prompts", good, developer, 403, "forbidden"),
                ("GET", "/governance/prompts/1", nil, admin, 404, "not_found"),
                ("GET", "/governance/prompts/x", nil, admin, 404, "not_found"),
                ("POST", "/governance/prompts/99999999999/approve", nil, admin, 404, "not_found"),
                ("POST", "/governance/prompts/7/reject", nil, admin, 404, "not_found"),
                ("POST", "/governance/prompts", "{}", admin, 422, "validation_failed"),
                ("POST", "/governance/prompts", huge, admin, 422, "validation_failed"),
                ("POST", "/governance/prompts", nul, admin, 400, "json_nul_in_text"),
                ("POST", "/governance/prompts", good.replacing(":0", with: ":4"), admin, 409, "conflict"),
                ("GET", "/governance/prompts?page=2", nil, admin, 400, "invalid_query"),
                ("GET", "/governance/prompts?cursor=zzz", nil, admin, 400, "invalid_cursor"),
                ("PUT", "/governance/rules/developer", "{}", admin, 422, "validation_failed"),
                ("DELETE", "/governance/prompts/1", nil, admin, 405, "method_not_allowed"),
            ]
            for step in walk {
                let answer = try await stack.send(
                    step.method, step.path, token: step.token, body: step.body.map { Array($0.utf8) })
                #expect(
                    answer.status == step.status && answer["code"] == step.code,
                    "\(step.method) \(step.path): \(answer.status) \(answer.body)")
            }
        }
    }
}
