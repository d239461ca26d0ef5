internal import Foundation
internal import Logging
internal import Redis
internal import ReleaseGateCore

/// Asks Redis how it keeps what it counts.
struct RedisProbe {
    private static let patience = Duration.seconds(5)
    /// How long the key lives that shows whether keys end, and how often it is looked for afterwards.
    private static let keyLives = Duration.milliseconds(50)
    private static let looksMax = 40

    let configuration: RedisConfiguration
    let logger: Logger

    func ask() async -> PreflightFacts.Probe<PreflightFacts.Redis> {
        do {
            var facts = try await connected(configuration) { try await self.facts($0) }
            facts.asksForPassword = await asksForPassword()
            return .answered(facts)
        } catch {
            let cause = (error as? RedisError)?.underlying.map { " (\($0))" } ?? ""
            return .unreachable("Redis did not answer: \(error)\(cause)")
        }
    }

    private func facts(_ connection: RedisConnection) async throws -> PreflightFacts.Redis {
        let info = Self.fields(try await connection.command(["INFO"]).text ?? "")
        var facts = PreflightFacts.Redis()
        facts.isEncrypted = configuration.tls != nil
        facts.version = info["redis_version"] ?? ""
        facts.isMaster = info["role"] == "master"
        facts.isAppendOnly = info["aof_enabled"] == "1"
        facts.memoryMaxBytes = info["maxmemory"].flatMap { Int($0) } ?? 0
        facts.memoryPolicy = info["maxmemory_policy"] ?? ""
        for (name, value) in info where name.wholeMatch(of: /db\d+/) != nil {
            let counts = Self.counts(value)
            facts.keys += counts["keys"] ?? 0
            facts.keysExpiring += counts["expires"] ?? 0
        }
        facts.fsync = try await fsync(connection)
        facts.expires = try await expires(connection)
        return facts
    }

    /// Nil where CONFIG is not for us.
    private func fsync(_ connection: RedisConnection) async throws -> String? {
        do {
            return try await connection.command(["CONFIG", "GET", "appendfsync"]).array?.last?.text
        } catch {
            guard case .server = error.code else { throw error }
            return nil
        }
    }

    private func expires(_ connection: RedisConnection) async throws -> Bool {
        let key = RedisArgument.text("golden:preflight:\(UUID().uuidString)")
        let milliseconds = RedisArgument(Int(Self.keyLives.components.attoseconds / 1_000_000_000_000_000))
        do {
            _ = try await connection.command(["SET", key, "1", "PX", milliseconds])
        } catch {
            guard case .server = error.code else { throw error }
            return false
        }
        for _ in 0..<Self.looksMax {
            try await Task.sleep(for: Self.keyLives)
            if try await connection.command(["EXISTS", key]).integer == 0 { return true }
        }
        return false
    }

    private func asksForPassword() async -> Bool? {
        guard configuration.password != nil else { return false }
        var open = configuration
        open.password = nil
        open.username = nil
        do {
            try await connected(open) { _ in }
            return false
        } catch let error as RedisError where error.code == .authenticationFailed {
            return true
        } catch {
            return nil
        }
    }

    private func connected<Result: Sendable>(
        _ configuration: RedisConfiguration, _ body: @Sendable @escaping (RedisConnection) async throws -> Result
    ) async throws -> Result {
        var patient = configuration
        patient.commandTimeout = Self.patience
        let connection = RedisConnection(patient, logger: logger)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await connection.run()
                return nil
            }
            group.addTask {
                do {
                    try await connection.waitUntilConnected(within: Self.patience)
                    let result = try await body(connection)
                    await connection.shutdown(within: .zero)
                    return result
                } catch {
                    await connection.shutdown(within: .zero)
                    throw error
                }
            }
            for try await result in group { if let result { return result } }
            throw GateError(.unreachable, "The connection to Redis ended.")
        }
    }

    /// `name:value` lines.
    private static func fields(_ text: String) -> [String: String] {
        var fields: [String: String] = [:]
        for line in text.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[String(line[..<colon])] = String(line[line.index(after: colon)...])
        }
        return fields
    }

    /// `keys=10,expires=8,avg_ttl=0`
    private static func counts(_ text: String) -> [String: Int] {
        var counts: [String: Int] = [:]
        for pair in text.split(separator: ",") {
            let halves = pair.split(separator: "=")
            if halves.count == 2, let count = Int(halves[1]) { counts[String(halves[0])] = count }
        }
        return counts
    }
}
