import Contracts
import Foundation
import TestSupport
import Testing

/// Runs the real programs at their most talkative, through everything that handles a secret, and looks for each of the
/// secrets in all that they wrote.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Secrets in logs` {
    static let natsPassword = "nats-Zk4vQ9wXr2"

    @Test func `no secret, password, key or token is ever written to a log`() async throws {
        let stack = try await OrchestratorUnderTest(security: .user("golden", password: Self.natsPassword))
        let settings = stack.settings.merging([
            "GOLDEN_LOG_LEVEL": "trace", "GOLDEN_NATS_USER": "golden", "GOLDEN_NATS_PASSWORD": Self.natsPassword,
            "GOLDEN_RATE_LIMITS": "admin=100000,developer=100000,login=1000",
        ]) { $1 }
        let folder = try temporaryFolder("secrets")
        let log = folder.appending(path: "orchestrator.log")
        let program = ServerProcess(
            try LineProcess.built("orchestrator"), ["serve"], environment: settings, logFile: log)
        try await blocking { try program.start { Self.port(in: log) != nil } }
        stack.listens(on: try #require(Self.port(in: log)))
        try await eventually { try await stack.get("/ready", token: nil).status == 200 }

        var secrets = try await use(stack)
        secrets += [
            Self.natsPassword, TestRedis.password, stack.postgres.password, OrchestratorUnderTest.secret,
            stack.settings["GOLDEN_POSTGRES_URL"] ?? "",
        ]
        // Failures are told in many more words than successes.
        try await fail(stack, &secrets)
        try await blocking { program.terminate() }
        // And a start that fails, once for each store.
        for (key, wrong) in Self.wrongSettings(stack) {
            let broken = ServerProcess(
                try LineProcess.built("orchestrator"), ["serve"], environment: settings.merging([key: wrong]) { $1 },
                logFile: log)
            let before = try Self.text(log).count
            do {
                try await blocking { try broken.start { Self.complains(log, after: before) } }
            } catch is ServerProcess.Failure {
                // It gave up at once, which is as good: what it said stands in the log.
                #expect(Self.complains(log, after: before))
            }
            try await blocking { broken.terminate() }
            secrets.append(wrong)
        }
        let text = try Self.text(log)
        #expect(text.contains("\"level\":\"trace\"") || text.contains("\"level\":\"debug\""))
        #expect(text.contains("Starting service"))
        #expect(secrets.count >= 20)
        for secret in Set(secrets).flatMap(Self.forms) {
            #expect(secret.utf8.count >= 8, "too short to look for: \(secret)")
            if let range = text.range(of: secret) {
                let line = text[..<range.lowerBound].suffix(200)
                Issue.record("a secret (\(secret.prefix(6))…) follows \(line)")
            }
        }
    }

    /// Logins, keys, tokens, budgets, good and bad. Answers every secret that was used or handed out.
    private func use(_ stack: OrchestratorUnderTest) async throws -> [String] {
        var secrets: [String] = []
        let admin = try await stack.token(role: "admin", subject: "root")
        secrets.append(admin)
        let password = "correct horse battery staple 1"
        let user = #"{"name":"ada","role":"developer","password":"\#(password)"}"#
        #expect(try await stack.post("/users", user, token: admin).status == 201)
        let generated = try await stack.post("/users", #"{"name":"bob","role":"observer"}"#, token: admin)
        secrets += [password, try #require(generated["password"])]
        for attempt in [password, "a-Mistyped-Passw0rd", password] {
            let body = #"{"user":"ada","password":"\#(attempt)","tenant":"acme"}"#
            let login = try await stack.post("/auth/login", body, token: nil)
            secrets += [attempt] + [login["access_token"]].compactMap(\.self)
        }
        // A password typed where the name belongs.
        let mistaken = "my-Secret-in-the-wr0ng-field"
        _ = try await stack.post("/auth/login", #"{"user":"\#(mistaken)","password":"x"}"#, token: nil)
        secrets.append(mistaken)
        let made = try await stack.post("/api-keys", #"{"label":"bot","role":"developer"}"#, token: admin)
        let key = try #require(made["key"])
        let exchanged = try await stack.post("/auth/token", #"{"api_key":"\#(key)"}"#, token: nil)
        let token = try #require(exchanged["access_token"])
        let forgedKey = String(key.dropLast(8)) + "AAAAAAAA"
        _ = try await stack.post("/auth/token", #"{"api_key":"\#(forgedKey)"}"#, token: nil)
        secrets += [String(key.dropFirst(12)), token, String(forgedKey.dropFirst(12))]
        let expired = try await stack.token(role: "admin", expiresIn: -99)
        for bad in [token + "x", token.replacing(".", with: ".A"), expired] {
            _ = try await stack.get("/tasks", token: bad)
            secrets.append(bad)
        }
        let limit = #"{"project":"default","total_limit":100000}"#
        _ = try await stack.send("PUT", "/budget/limits", token: admin, body: Array(limit.utf8))
        for _ in 0..<2 {
            _ = try await stack.post("/budget/request", #"{"request_id":"r-1","tokens":10}"#, token: token)
        }
        _ = try await stack.post("/budget/commit", #"{"request_id":"r-1","actual":7}"#, token: token)
        _ = try await stack.post("/tasks", "{}", token: token, headers: ["X-Request-Id": "harmless"])
        _ = try await stack.post("/admin/signing-keys/rotate", nil, token: admin)
        _ = try await stack.get("/tasks?token=\(token)", token: nil)
        return secrets
    }

    /// The same while each store is away.
    private func fail(_ stack: OrchestratorUnderTest, _ secrets: inout [String]) async throws {
        try await stack.redis.kill()
        secrets += try await attempt(stack, "while-Redis-1s-away")
        try await stack.redis.start()
        try await stack.nats.crash()
        secrets += try await attempt(stack, "while-NATS-1s-away")
        try await stack.nats.restart()
        // Ends every session; the next ones are let in again.
        _ = try await stack.postgres.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(stack.database)'")
        secrets += try await attempt(stack, "while-Postgres-1s-away")
        try await eventually { try await stack.get("/ready", token: nil).status == 200 }
    }

    private func attempt(_ stack: OrchestratorUnderTest, _ password: String) async throws -> [String] {
        let token = try await stack.token()
        _ = try await stack.post("/tasks", "{}", token: token)
        _ = try await stack.post("/auth/login", #"{"user":"ada","password":"\#(password)"}"#, token: nil)
        return [token, password]
    }

    private static func wrongSettings(_ stack: OrchestratorUnderTest) -> [(String, String)] {
        [
            (
                "GOLDEN_POSTGRES_URL",
                "host=127.0.0.1 port=\(stack.postgres.port) user=golden password=wr0ng-Pg-Passw0rd"
            ),
            ("GOLDEN_REDIS_URL", "redis://:wr0ng-Redis-Passw0rd@127.0.0.1:\(stack.redis.port)/0"),
            ("GOLDEN_NATS_PASSWORD", "wr0ng-Nats-Passw0rd"),
        ]
    }

    /// The secret, and the ways it may be written: its parts that are secrets by themselves, and encodings.
    private static func forms(_ secret: String) -> [String] {
        var forms = [secret]
        if let word = secret.split(separator: " ").first(where: { $0.hasPrefix("password=") }) {
            forms.append(String(word.dropFirst(9)))
        }
        if secret.hasPrefix("redis://"), let word = secret.dropFirst(9).split(separator: "@").first {
            forms.append(String(word))
        }
        // A token is as good as its signature; without it, it is none.
        if secret.hasPrefix("ey"), let signature = secret.split(separator: ".").last, signature.utf8.count > 20 {
            forms.append(String(signature))
        }
        forms.append(Data(secret.utf8).base64EncodedString())
        forms.append("\(Array(secret.utf8).prefix(12))".trimmingCharacters(in: ["[", "]"]))
        return forms
    }

    private static func text(_ log: URL) throws -> String { try String(contentsOf: log, encoding: .utf8) }

    private static func size(_ log: URL) -> Int? {
        do { return try text(log).count } catch { return nil }
    }

    /// Whether something about a refused password was logged since.
    private static func complains(_ log: URL, after count: Int) -> Bool {
        do {
            let news = try text(log).dropFirst(count).lowercased()
            return ["password", "authentication", "authorization", "wrongpass"].contains { news.contains($0) }
        } catch {
            return false
        }
    }

    /// The port it says it listens on.
    private static func port(in log: URL) -> Int? {
        guard let size = size(log), size > 0 else { return nil }
        do {
            let line = try text(log).split(separator: "\n").first { $0.contains("\"listening\"") }
            return try line.flatMap { line in
                let fields = try JSON(parsing: line.utf8).fields ?? []
                let port = fields.first { $0.name == "port" }?.value
                return port?.int ?? port?.string.flatMap { Int($0) }
            }
        } catch {
            return nil
        }
    }
}
