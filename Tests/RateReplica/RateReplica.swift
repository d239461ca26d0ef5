import Coordination
import Foundation
import Logging
import Redis
import Synchronization

/// One replica of a fleet that shares rate limits, for tests and measurements: it counts like an orchestrator, in a
/// process of its own.
///
/// Usage: `rate-replica <redis port> <password> <replicas> <command timeout in ms> [<file> <place>]`. The file has a byte
/// for each replica, by which they tell each other that they count alone. It then reads one command a line and answers
/// each with `done` on a line of its own:
/// - `storm <seconds> <callers> <limit> <period seconds> <burst>`: that many callers ask as fast as they are answered,
///   for one key. Prints `admitted <before> <after>` for each that passed, and `asked <count> <longest>`; times are
///   nanoseconds of the system's clock, which all processes and Redis share. Prints `stood-still <nanoseconds>`, too:
///   the longest that a thread did not run which wants to every ten milliseconds.
/// - `measure <seconds> <callers> <keys>`: the same for that many keys in turn, none ever refused. Prints
///   `rate <decisions per second>`.
/// Every line of the limiter's log is printed as `log <text>`.
@main
struct RateReplica {
    let limiter: RateLimiter

    static func main() async throws {
        let arguments = CommandLine.arguments
        guard [5, 7].contains(arguments.count), let port = Int(arguments[1]), let replicas = Int(arguments[3]),
            let timeout = Int(arguments[4])
        else { throw Unusable(description: "usage: rate-replica <port> <password> <replicas> <timeout in ms>") }
        let quiet = Logger(label: "redis") { _ in SwiftLogNoOpLogHandler() }
        let redis = RedisConnection(
            RedisConfiguration(port: port, password: arguments[2], commandTimeout: .milliseconds(timeout)),
            logger: quiet
        )
        var settings = RateLimiter.Settings()
        if arguments.count == 7, let place = Int(arguments[6]) {
            let board = Board(arguments[5], place: place, replicas: replicas)
            settings.peersAlone = { board.isAnyoneElseAlone }
            settings.tellPeers = { board.say(isAlone: $0) }
        }
        let limiter = RateLimiter(
            redis: redis, replicas: { replicas }, logger: Logger(label: "limits") { _ in PrintedLog() },
            settings: settings)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await redis.run() }
            group.addTask { try await limiter.run() }
            try await redis.waitUntilConnected(within: .seconds(30))
            print(line: "ready")
            let replica = RateReplica(limiter: limiter)
            // Reading blocks, so it has a thread of its own.
            for await line in Self.lines() { try await replica.carryOut(line) }
            await redis.shutdown(within: .seconds(1))
            group.cancelAll()
        }
    }

    private static func lines() -> AsyncStream<String> {
        let (lines, source) = AsyncStream<String>.makeStream()
        Thread.detachNewThread {
            while let line = readLine() { source.yield(line) }
            source.finish()
        }
        return lines
    }

    private func carryOut(_ line: String) async throws {
        let words = line.split(separator: " ").map(String.init)
        let numbers = words.dropFirst().compactMap { Int($0) }
        switch (words.first, numbers.count) {
        case ("storm", 5):
            let policy = try RatePolicy(
                name: "storm", limit: numbers[2], period: .seconds(numbers[3]), burst: numbers[4])
            try await storm(seconds: numbers[0], callers: numbers[1], policy)
        case ("measure", 3): try await measure(seconds: numbers[0], callers: numbers[1], keys: numbers[2])
        default: throw Unusable(description: "no such command: \(line)")
        }
        print(line: "done")
    }

    private func storm(seconds: Int, callers: Int, _ policy: RatePolicy) async throws {
        let charges = [RateCharge(policy: policy, key: "everybody")]
        let end = Self.now() + UInt64(seconds) * 1_000_000_000
        let metronome = Metronome()
        let callers = try await withThrowingTaskGroup(of: Caller.self) { group in
            for _ in 0..<callers {
                group.addTask {
                    var caller = Caller()
                    while Self.now() < end {
                        let before = Self.now()
                        let decision = await limiter.decide(charges, scope: "test")
                        let after = Self.now()
                        caller.asked += 1
                        caller.longest = max(caller.longest, after - before)
                        if decision.allowed { caller.admitted.append((before, after)) }
                        // One that is refused asks again soon, not at once: three processes share few cores.
                        if !decision.allowed { try await Task.sleep(for: .milliseconds(2)) }
                    }
                    return caller
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for (before, after) in callers.flatMap(\.admitted) { print(line: "admitted \(before) \(after)") }
        print(line: "asked \(callers.reduce(0) { $0 + $1.asked }) \(callers.map(\.longest).max() ?? 0)")
        let nanoseconds = metronome.stop() / .nanoseconds(1)
        print(line: "stood-still \(Int(nanoseconds))")
    }

    private func measure(seconds: Int, callers: Int, keys: Int) async throws {
        let policy = try RatePolicy(name: "measure", limit: 60_000_000, period: .seconds(60), burst: 60_000_000)
        let start = Self.now()
        let end = start + UInt64(seconds) * 1_000_000_000
        let decided = await withTaskGroup(of: Int.self) { group in
            for caller in 0..<callers {
                group.addTask {
                    var (count, key) = (0, caller)
                    while Self.now() < end {
                        _ = await limiter.decide([RateCharge(policy: policy, key: "\(key % keys)")], scope: "test")
                        count += 1
                        key += 7919
                    }
                    return count
                }
            }
            return await group.reduce(0, +)
        }
        print(line: "rate \(Double(decided) * 1e9 / Double(Self.now() - start))")
    }

    private struct Caller {
        var admitted: [(UInt64, UInt64)] = []
        var asked = 0
        var longest: UInt64 = 0
    }

    /// The clock that Redis counts by, so that what is measured and what is counted cannot drift apart.
    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    private struct Unusable: Error, CustomStringConvertible { let description: String }
}

/// A thread that wants to run every ten milliseconds, and notes how long it did not.
private final class Metronome: Sendable {
    private let state = Mutex((isOver: false, longest: Duration.zero))

    init() { Thread.detachNewThread { self.beat() } }

    /// Ends it; answers its longest pause.
    func stop() -> Duration {
        state.withLock { state in
            state.isOver = true
            return state.longest
        }
    }

    private func beat() {
        var last = ContinuousClock.now
        var isOver = false
        while !isOver {
            usleep(10_000)
            let now = ContinuousClock.now
            isOver = state.withLock { state in
                state.longest = max(state.longest, now - last)
                return state.isOver
            }
            last = now
        }
    }
}

/// A file that the replicas of a fleet write and read: what orchestrators tell each other over NATS.
private final class Board: Sendable {
    private let file: Int32
    private let place: Int
    private let replicas: Int

    init(_ path: String, place: Int, replicas: Int) {
        file = open(path, O_RDWR)
        precondition(file >= 0, "The board cannot be opened.")
        self.place = place
        self.replicas = replicas
    }

    func say(isAlone: Bool) {
        var byte: UInt8 = isAlone ? 1 : 0
        precondition(pwrite(file, &byte, 1, place) == 1, "The board cannot be written.")
    }

    var isAnyoneElseAlone: Bool {
        var bytes = [UInt8](repeating: 0, count: replicas)
        precondition(pread(file, &bytes, replicas, 0) == replicas, "The board cannot be read.")
        return bytes.indices.contains { $0 != place && bytes[$0] == 1 }
    }
}

/// Lines go out at once, since somebody waits for each.
private func print(line: String) {
    FileHandle.standardOutput.write(Data("\(line)\n".utf8))
}

private struct PrintedLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { print(line: "log \(event.message)") }
}
