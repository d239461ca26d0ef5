import Foundation
import Logging
import Redis
import Synchronization
import TestSupport

@testable import Coordination

/// A replica in a process of its own, spoken to by lines.
final class BreakerProcess: @unchecked Sendable {
    /// One line of a replica's: when, by the clock all processes of the machine share, and what.
    struct Line: Sendable {
        let microseconds: Int64
        let words: [Substring]
    }

    struct Silent: Error, CustomStringConvertible {
        let description: String
    }

    static let path = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
        .appending(path: "breaker-replica").path

    let name: String
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private let lines: AsyncStream<Line>

    /// - Parameter nats: nil for replicas that hear of each other only by looking.
    init(_ name: String, redis: TestRedis, nats: TestNATS?, _ options: [String]) throws {
        self.name = name
        let (lines, found) = AsyncStream.makeStream(of: Line.self)
        self.lines = lines
        process.executableURL = URL(filePath: "/usr/bin/setpriv")
        process.arguments = ["--pdeathsig", "KILL", Self.path, "--name", name] + options
        // A report on a crash would keep standard output open.
        var environment = ["SWIFT_BACKTRACE": "enable=no"]
        environment["GOLDEN_REDIS_URL"] = "redis://:\(TestRedis.password)@127.0.0.1:\(redis.port)/0"
        if let nats { environment["GOLDEN_NATS_URL"] = nats.url }
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = input
        process.standardOutput = output
        let rest = Mutex<[UInt8]>([])
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty {
                handle.readabilityHandler = nil
                found.finish()
                return
            }
            rest.withLock { rest in
                rest += data
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    let words = String(decoding: rest[..<end], as: UTF8.self).split(separator: " ")
                    rest.removeFirst(end + 1)
                    guard let first = words.first, let time = Int64(first) else { continue }
                    found.yield(Line(microseconds: time, words: Array(words.dropFirst())))
                }
            }
        }
        try Spawner.shared.start(process)
    }

    deinit { stop() }

    /// Ends it as a crash would.
    func stop() {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    func say(_ line: String) throws { try input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8)) }

    /// The next line that begins with these words; those before it are passed over.
    @discardableResult
    func hear(_ words: String) async throws -> Line {
        let wanted = words.split(separator: " ")
        for await line in lines where line.words.starts(with: wanted) { return line }
        throw Silent(description: "\(name) ended without saying: \(words)")
    }

    /// Waits for lines that begin with each of these words, in whichever order they come.
    func hear(all wanted: Set<String>) async throws {
        var missing = wanted.map { $0.split(separator: " ") }
        for await line in lines {
            missing.removeAll { line.words.starts(with: $0) }
            if missing.isEmpty { return }
        }
        throw Silent(description: "\(name) ended without saying: \(missing)")
    }

    /// Says a line and returns what follows it in the answer. What it says before that is passed over.
    @discardableResult
    func ask(_ line: String) async throws -> [Substring] {
        try say(line)
        return Array(try await hear("done \(line)").words.dropFirst(1 + line.split(separator: " ").count))
    }
}

/// Three processes over one Redis, and somebody who looks at what they share without being one of them.
struct BreakerProcesses: Sendable {
    let redis: TestRedis
    let replicas: [BreakerProcess]
    let observer: BreakerRegistry
    let connection: RedisConnection

    static func with(
        openWait: Duration = .seconds(600), hasNotices: Bool = true, interval: Duration = .seconds(1),
        _ body: (BreakerProcesses) async throws -> Void
    ) async throws {
        let redis = try await TestRedis.started()
        let nats = hasNotices ? try await TestNATS.started() : nil
        let options = [
            "--open-wait", "\(openWait.microsecondsUp / 1000)", "--interval", "\(interval.microsecondsUp / 1000)",
        ]
        let replicas = try (0..<3).map { try BreakerProcess("replica-\($0)", redis: redis, nats: nats, options) }
        let configuration = RedisConfiguration(
            port: redis.port, password: TestRedis.password, connectTimeout: .seconds(5), commandTimeout: patience)
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let connection = RedisConnection(configuration, logger: quiet)
        let observer = BreakerRegistry(
            redis: connection, replica: "observer", replicas: { 3 }, logger: quiet,
            settings: BreakerRegistry.Settings(timeout: patience)
        )
        let fleet = BreakerProcesses(redis: redis, replicas: replicas, observer: observer, connection: connection)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await connection.run() }
            defer {
                for replica in replicas { replica.stop() }
                group.cancelAll()
            }
            try await connection.waitUntilConnected(within: patience)
            for replica in replicas { try await replica.hear("ready") }
            _ = try await fleet.overview { $0.votes.count == 3 }
            try await body(fleet)
        }
    }

    /// Waits until what the replicas share is as wanted.
    func overview(_ isWanted: (BreakerOverview) -> Bool) async throws -> BreakerOverview {
        while true {
            if let found = await observer.overviews().first(where: { $0.name == BreakerFleet.name }), isWanted(found) {
                return found
            }
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    func all<Value: Sendable>(_ body: @escaping @Sendable (BreakerProcess) async throws -> Value) async throws
        -> [Value]
    {
        try await withThrowingTaskGroup(of: (Int, Value).self) { group in
            for (place, replica) in replicas.enumerated() { group.addTask { (place, try await body(replica)) } }
            return try await group.reduce(into: [(Int, Value)]()) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    func states() async throws -> [Substring] { try await all { try await $0.ask("state")[0] } }
}
