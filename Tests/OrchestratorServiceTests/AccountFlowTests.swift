import Contracts
import Foundation
import TestSupport
import Testing

/// Users, keys and tokens through the API, over real stores.
@Suite(.serialized) struct `Accounts` {
    static let environment = [
        "GOLDEN_RATE_LIMITS":
            "admin=100000,operator=100000,developer=100000,observer=100000,agent=100000,anonymous=100000"
    ]
    static let password = "correct horse battery"

    @Test func `a user logs in, on any replica, until disabled`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2, environment: Self.environment) { stack in
            let admin = try await stack.token(role: "admin", tenant: "acme", subject: "root")
            let added = try await stack.post(
                "/users", #"{"name":"Ada","role":"developer","password":"\#(Self.password)"}"#, token: admin)
            #expect(added.status == 201 && added["name"] == "ada" && added["password"] == nil, "\(added.body)")
            let login = try await login(stack, "ADA", Self.password)
            #expect(login.status == 200 && login["role"] == "developer" && login["tenant"] == "acme", "\(login.body)")
            let token = try #require(login["access_token"])
            #expect(try await stack.get("/tasks", replica: 1, token: token).status == 200)
            #expect(try await stack.get("/users", replica: 1, token: token).status == 403)
            let task = try await stack.post("/tasks", "{}", replica: 1, token: token)
            #expect(task.status == 202 && task["tenant"] == "acme")
            #expect(try await self.login(stack, "ada", Self.password, tenant: "beta").status == 401)
            #expect(try await stack.post("/users/ada/disable", "{}", token: admin).status == 200)
            // The token has not expired, and counts no more: here at once, elsewhere within seconds.
            let dead = try await stack.get("/tasks", token: token)
            #expect(dead.status == 401 && dead["code"] == "token_revoked", "\(dead.body)")
            try await eventually(within: .seconds(5)) {
                try await stack.get("/tasks", replica: 1, token: token).status == 401
            }
            let refused = try await self.login(stack, "ada", Self.password)
            #expect(refused.status == 401 && refused["code"] == "login_failed", "\(refused.body)")
            #expect(try await stack.post("/users/ada/enable", "{}", token: admin).status == 200)
            let again = try #require(try await self.login(stack, "ada", Self.password)["access_token"])
            for replica in 0..<2 {
                try await eventually(within: .seconds(5)) {
                    try await stack.get("/tasks", replica: replica, token: again).status == 200
                }
                #expect(try await stack.get("/tasks", replica: replica, token: token).status == 401)
            }
            let other = try await stack.token(role: "admin", tenant: "beta")
            #expect(try await stack.post("/users/ada/disable", "{}", token: other).status == 404)
            #expect(try await stack.get("/users", token: other).body.contains("ada") == false)
            let replaced = try await stack.post("/users/ada/password", "{}", token: admin)
            let generated = try #require(replaced["password"])
            #expect(try await self.login(stack, "ada", Self.password).status == 401)
            #expect(try await self.login(stack, "ada", generated).status == 200)
            try await expectNoSecrets(stack, [Self.password, generated, token])
        }
    }

    @Test func `who is disabled with psql is refused within seconds too, and replicas that start later know`()
        async throws
    {
        try await OrchestratorUnderTest.run(
            environment: Self.environment,
            before: { stack in
                try await stack.postgres.sql(
                    "INSERT INTO users (tenant_id, name, role, password_hash, password_changed_at, created_by, "
                        + "created_at, disabled_at) VALUES ('acme', 'gone', 'developer', '$scrypt$x', now(), 'me', now(), "
                        + "NULL), ('acme', 'stays', 'developer', '$scrypt$x', now(), 'me', now(), NULL); "
                        + "UPDATE users SET disabled_at = now() WHERE name = 'gone'",
                    database: stack.database)
            }
        ) { stack in
            let gone = try await stack.token(subject: "gone")
            try await eventually(within: .seconds(5)) { try await stack.get("/tasks", token: gone).status == 401 }
            let stays = try await stack.token(subject: "stays")
            #expect(try await stack.get("/tasks", token: stays).status == 200)
            let namesake = try await stack.token(tenant: "beta", subject: "gone")
            #expect(try await stack.get("/tasks", token: namesake).status == 200)
            try await stack.postgres.sql(
                "UPDATE users SET disabled_at = now() WHERE name = 'stays'", database: stack.database)
            try await eventually(within: .seconds(5)) { try await stack.get("/tasks", token: stays).status == 401 }
        }
    }

    @Test func `five failures lock a user's address, known or not, and no other`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2, environment: Self.environment) { stack in
            let admin = try await stack.token(role: "admin", tenant: "default", subject: "root")
            for name in ["ada", "bob"] {
                let body = #"{"name":"\#(name)","role":"observer","password":"\#(Self.password)"}"#
                #expect(try await stack.post("/users", body, token: admin).status == 201)
            }
            for name in ["ada", "nobody", "No Name; DROP TABLE users;"] {
                for attempt in 1...5 {
                    let answer = try await login(
                        stack, name, "wrong password \(attempt)", tenant: nil, replica: attempt % 2)
                    #expect(
                        answer.status == 401 && answer["code"] == "login_failed", "\(name) \(attempt): \(answer.body)")
                }
                let locked = try await login(stack, name, Self.password, tenant: nil)
                #expect(locked.status == 429 && locked["code"] == "login_locked", "\(name): \(locked.body)")
                let seconds = try #require(locked.headers["retry-after"].flatMap { Int($0) })
                #expect((880...900).contains(seconds))
            }
            // A success forgets the failures before it.
            for _ in 1...4 { #expect(try await login(stack, "bob", "wrong", tenant: nil).status == 401) }
            #expect(try await login(stack, "bob", Self.password, tenant: nil).status == 200)
            for _ in 1...4 { #expect(try await login(stack, "bob", "wrong", tenant: nil).status == 401) }
            #expect(try await login(stack, "bob", Self.password, tenant: nil).status == 200)
        }
    }

    @Test func `behind a trusted proxy failures lock the address it names and no other`() async throws {
        let environment = Self.environment.merging(["GOLDEN_TRUSTED_PROXIES": "127.0.0.0/8, 10.1.0.0/16"]) { $1 }
        try await OrchestratorUnderTest.run(environment: environment) { stack in
            let admin = try await stack.token(role: "admin", tenant: "acme", subject: "root")
            let body = #"{"name":"ada","role":"observer","password":"\#(Self.password)"}"#
            #expect(try await stack.post("/users", body, token: admin).status == 201)
            // Of the addresses before its own a guesser may write what it likes.
            for attempt in 1...5 {
                let from = "198.51.100.\(attempt), 203.0.113.7, 10.1.0.9"
                #expect(try await login(stack, "ada", "wrong", from: from).status == 401)
            }
            let locked = try await login(stack, "ada", Self.password, from: "198.51.100.6, 203.0.113.7")
            #expect(locked.status == 429 && locked["code"] == "login_locked", "\(locked.body)")
            #expect(try await login(stack, "ada", Self.password, from: "203.0.113.8").status == 200)
            let stranger = ["X-Forwarded-For": "203.0.113.9"]
            #expect(try await stack.post("/tasks", "{}", token: nil, headers: stranger).status == 401)
            try await eventually {
                try await stack.get("/audit?scope=installation", token: admin).body.contains("203.0.113.9")
            }
        }
    }

    @Test func `an IPv6 network is locked as one address, and no other with it`() async throws {
        let environment = Self.environment.merging(["GOLDEN_TRUSTED_PROXIES": "127.0.0.0/8"]) { $1 }
        try await OrchestratorUnderTest.run(environment: environment) { stack in
            let admin = try await stack.token(role: "admin", tenant: "acme", subject: "root")
            let body = #"{"name":"ada","role":"observer","password":"\#(Self.password)"}"#
            #expect(try await stack.post("/users", body, token: admin).status == 201)
            for host in 1...5 {
                #expect(try await login(stack, "ada", "wrong", from: "2001:db8:1:2::\(host)").status == 401)
            }
            let locked = try await login(stack, "ada", Self.password, from: "2001:db8:1:2:ffff::6")
            #expect(locked.status == 429 && locked["code"] == "login_locked", "\(locked.body)")
            #expect(try await login(stack, "ada", Self.password, from: "2001:db8:1:3::1").status == 200)
            try await eventually {
                try await stack.get("/audit?action=login", token: admin).body.contains("2001:db8:1:2:0:0:0:5")
            }
        }
    }

    @Test func `of a hundred guesses at once five are looked at`() async throws {
        try await OrchestratorUnderTest.run(environment: Self.environment) { stack in
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<100 {
                    group.addTask { try await self.login(stack, "ada", "guess \(number)", tenant: nil).status }
                }
                return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            }
            #expect(statuses == [401: 5, 429: 95])
        }
    }

    @Test func `a key is exchanged for tokens until it is revoked`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2, environment: Self.environment) { stack in
            let admin = try await stack.token(role: "admin", tenant: "acme", subject: "root")
            let made = try await stack.post("/api-keys", #"{"label":"bot","role":"agent"}"#, token: admin)
            let (id, key) = (try #require(made["id"]), try #require(made["key"]))
            #expect(made.status == 201 && key.hasPrefix(id + "_"))
            let exchanged = try await exchange(stack, key)
            #expect(exchanged.status == 200 && exchanged["subject"] == "key:\(id)" && exchanged["role"] == "agent")
            let token = try #require(exchanged["access_token"])
            #expect(try await stack.get("/tasks", replica: 1, token: token).status == 200)
            let listed = try await stack.get("/api-keys", token: admin)
            #expect(listed.body.contains(id) && !listed.body.contains(key) && listed.body.contains("last_used_at"))
            #expect(
                try await stack.get("/api-keys", token: stack.token(role: "admin", tenant: "beta")).body.contains(id)
                    == false)
            for wrong in [
                id, id + "_" + String(repeating: "A", count: 43), "gk_00000000" + key.dropFirst(11), key + "A",
            ] {
                #expect(try await exchange(stack, wrong).status == 401)
            }
            let other = try await stack.token(role: "admin", tenant: "beta")
            #expect(try await stack.post("/api-keys/\(id)/revoke", "{}", token: other).status == 404)
            #expect(try await stack.post("/api-keys/\(id)/revoke", "{}", token: admin)["state"] == "revoked")
            #expect(try await exchange(stack, key, replica: 1).status == 401)
            #expect(try await stack.get("/tasks", token: token)["code"] == "token_revoked")
            try await eventually(within: .seconds(5)) {
                try await stack.get("/tasks", replica: 1, token: token).status == 401
            }
            #expect(try await stack.get("/tasks", replica: 1, token: admin).status == 200)
            let expiring = try await stack.post(
                "/api-keys", #"{"label":"x","role":"agent","expires_in_seconds":59}"#, token: admin)
            #expect(expiring.status == 422)
            try await expectNoSecrets(stack, [key, token])
        }
    }

    @Test func `the published keys grow by a rotation and hold nothing private`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2, environment: Self.environment) { stack in
            let admin = try await stack.token(role: "admin", tenant: "acme")
            try await eventually { try await keys(stack, replica: 0).count == 1 }
            try await eventually { try await keys(stack, replica: 1) == keys(stack, replica: 0) }
            let rotated = try await stack.post("/admin/signing-keys/rotate", nil, token: admin)
            #expect(rotated.status == 201)
            #expect(try await keys(stack, replica: 0).count == 2)
            let text = try await stack.get("/.well-known/jwks.json", token: nil).body
            #expect(!text.contains("\"d\""))
        }
    }

    @Test func `rotated immediately, the keys end every login, on all replicas`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2, environment: Self.environment) { stack in
            let admin = try await stack.token(role: "admin", tenant: "acme", subject: "root")
            let body = #"{"name":"ada","role":"observer","password":"\#(Self.password)"}"#
            #expect(try await stack.post("/users", body, token: admin).status == 201)
            let token = try #require(try await login(stack, "ada", Self.password)["access_token"])
            for replica in 0..<2 {
                #expect(try await stack.get("/tasks", replica: replica, token: token).status == 200)
            }
            let path = "/admin/signing-keys/rotate"
            #expect(try await stack.post(path, #"{"immediately":"yes"}"#, token: admin).status == 422)
            #expect(try await stack.post(path, #"{"immediately":true}"#, token: admin).status == 201)
            #expect(try await keys(stack, replica: 0).count == 1)
            let refused = try await stack.get("/tasks", token: token)
            #expect(refused.status == 401 && refused["code"] == "token_unknown_key", "\(refused.body)")
            try await eventually(within: .seconds(5)) {
                try await stack.get("/tasks", replica: 1, token: token).status == 401
            }
            for replica in 0..<2 {
                let again = try await login(stack, "ada", Self.password, replica: replica)
                let fresh = try #require(again["access_token"])
                #expect(try await stack.get("/tasks", replica: 1 - replica, token: fresh).status == 200)
            }
        }
    }

    // MARK: Calls

    private func login(
        _ stack: OrchestratorUnderTest, _ user: String, _ password: String, tenant: String? = "acme", replica: Int = 0,
        from addresses: String? = nil
    ) async throws -> OrchestratorUnderTest.Answer {
        let body = JSONWriter.object { writer in
            writer.field("user", user)
            writer.field("password", password)
            writer.field(ifPresent: "tenant", tenant)
        }
        let headers = addresses.map { ["X-Forwarded-For": $0] } ?? [:]
        return try await stack.post("/auth/login", body.text, replica: replica, token: nil, headers: headers)
    }

    private func exchange(
        _ stack: OrchestratorUnderTest, _ key: String, replica: Int = 0
    ) async throws -> OrchestratorUnderTest.Answer {
        try await stack.post("/auth/token", #"{"api_key":"\#(key)"}"#, replica: replica, token: nil)
    }

    private func keys(_ stack: OrchestratorUnderTest, replica: Int) async throws -> [String] {
        let answer = try await stack.get("/.well-known/jwks.json", replica: replica, token: nil)
        var set = try JSONReader(answer.json)
        return try (set.optionalArray("keys") ?? []).map(\.text)
    }

    /// No table holds any of these in clear.
    private func expectNoSecrets(_ stack: OrchestratorUnderTest, _ secrets: [String]) async throws {
        for table in ["users", "api_keys", "signing_keys", "login_attempts", "audit_log"] {
            let text = try await stack.postgres.sql("SELECT t::text FROM \(table) t", database: stack.database)
            for secret in secrets { #expect(!text.contains(secret), "\(table) holds a secret") }
        }
    }
}
