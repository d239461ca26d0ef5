import Coordination
import Foundation
import TestSupport
import Testing

/// Three processes that share one limit over one Redis, or over none.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Rate limits of a fleet` {
    static let replicas = 3
    static let timeout = Duration.milliseconds(200)

    /// A machine that stands still that long may let a command's time pass, which nobody's limiter is to blame for.
    static let stillMax = Duration.milliseconds(100)

    enum Outage: String, CaseIterable, Sendable { case killed, paused, blackHoled }

    @Test func `in any window at most the burst and the rate times the window are admitted`() async throws {
        let storms = try await Self.undisturbed { fleet in
            // 100 a second, and 50 at once.
            let storm = try await fleet.storm(seconds: 4, callers: 8, limit: 6000, period: 60, burst: 50)
            return [storm]
        }
        let storm = storms[0]
        let bound = Bound(burst: 50, interval: 10_000_000, slack: 0)
        #expect(bound.worst(storm.admitted) == nil)
        // The limit is used, too, by everybody, and far more was asked for.
        #expect(storm.admitted.count > 350, "\(storm.admitted.count)")
        #expect(storm.asked > 3 * storm.admitted.count)
        #expect(storm.log.isEmpty, "\(storm.log)")
    }

    @Test func `the oracle finds what it is there to find`() {
        let bound = Bound(burst: 2, interval: 1000, slack: 0)
        let good: [Admission] = [(0, 0), (0, 1), (1000, 1000), (2000, 2001)].map { Admission(before: $0, after: $1) }
        #expect(bound.worst(good) == nil)
        let early = good + [Admission(before: 2500, after: 2600)]
        #expect(bound.worst(early) != nil)
        let unsure = good + [Admission(before: 2500, after: 3000)]
        #expect(bound.worst(unsure) == nil)
    }

    @Test(arguments: Outage.allCases)
    func `without Redis the fleet grants no more than the limit and one for each replica`(outage: Outage) async throws {
        let storms = try await Self.undisturbed { fleet in
            let before = try await fleet.smallStorm(2)
            try await fleet.begin(outage)
            let during = try await fleet.smallStorm(4)
            try await fleet.end(outage)
            var after = Storm()
            for _ in 0..<10 where after.log.count < Self.replicas { after += try await fleet.smallStorm(2) }
            let counted = try await fleet.smallStorm(2)
            return [before, during, after, counted]
        }
        let (before, during, after, counted) = (storms[0], storms[1], storms[2], storms[3])
        #expect(before.admitted.count >= 90 && before.log.isEmpty, "\(before.log)")
        // Each process says once that it counts alone.
        #expect(during.log.count == Self.replicas && during.log.allSatisfy { $0.contains("degraded") }, "\(during.log)")
        // The limit is used all the same.
        #expect(during.admitted.count > 100, "\(during.admitted.count)")
        // No decision waits longer than for two answers that do not come; and hardly any waits at all.
        let longest = during.longest - during.stoodStill
        #expect(longest < Self.timeout * 2 + .milliseconds(600), "\(longest)")
        #expect(during.asked > 2000, "\(during.asked)")
        #expect(counted.admitted.count > 80 && counted.log.isEmpty, "\(counted.admitted.count) \(counted.log)")
        // Each says once that the fleet counts again, and the outage has given nobody a second burst.
        #expect(after.log.count == Self.replicas && after.log.allSatisfy { $0.contains("again") }, "\(after.log)")
        let all = before.admitted + during.admitted + after.admitted + counted.admitted
        let bound = Bound(burst: 12, interval: 20_000_000, slack: Self.replicas)
        #expect(bound.worst(all) == nil)
    }

    @Test func `a replica that alone has lost Redis takes nothing from the limit of the others`() async throws {
        let storms = try await Self.undisturbed(apart: 1) { fleet in
            let before = try await fleet.smallStorm(2)
            fleet.separate?.swallow()
            let apart = try await fleet.smallStorm(4)
            fleet.separate?.restore()
            var after = Storm()
            for _ in 0..<10 where after.log.isEmpty { after += try await fleet.smallStorm(2) }
            return [before, apart, after]
        }
        let (apart, after) = (storms[1], storms[2])
        #expect(apart.log.count == 1 && apart.log[0].contains("degraded"), "\(apart.log)")
        #expect(apart.admitted.count > 100, "\(apart.admitted.count)")
        #expect(after.log.count == 1 && after.log[0].contains("again"), "\(after.log)")
        let all = storms.flatMap(\.admitted)
        #expect(Bound(burst: 12, interval: 20_000_000, slack: Self.replicas).worst(all) == nil)
    }

    /// What comes of storms over a new fleet; once more, twice at most, when the machine stood still meanwhile.
    private static func undisturbed(
        apart: Int = 0, _ storms: (Fleet) async throws -> [Storm]
    ) async throws -> [Storm] {
        var tries = 0
        while true {
            tries += 1
            let found = try await storms(Fleet(replicas: replicas, timeout: timeout, apart: apart))
            if tries == 3 || found.allSatisfy({ $0.stoodStill < stillMax }) { return found }
        }
    }
}

/// One request that passed: it was decided between these two moments, in nanoseconds.
struct Admission: Sendable {
    let before: UInt64
    let after: UInt64
}

/// What GCRA promises.
struct Bound {
    let burst: Int
    /// Nanoseconds a unit.
    let interval: UInt64
    /// Units beyond: one for each replica that counts alone.
    let slack: Int

    /// The window with the most too many; nil when there is none. Only admissions that were certainly decided inside a
    /// window count, so what it finds is wrong beyond doubt.
    func worst(_ admissions: [Admission]) -> String? {
        let byEnd = admissions.sorted { $0.after < $1.after }
        var worst: (excess: Int, text: String)?
        for first in admissions {
            var count = 0
            for admission in byEnd where admission.before >= first.before {
                count += 1
                let window = admission.after - first.before
                let excess = count - (burst + Int(window / interval) + slack)
                if excess > worst?.excess ?? 0 { worst = (excess, "\(count) in \(window) ns, \(excess) too many") }
            }
        }
        return worst?.text
    }
}

struct Storm: Sendable {
    var admitted: [Admission] = []
    var asked = 0
    var longest = Duration.zero
    /// The longest that a replica, and so probably the machine, did not run.
    var stoodStill = Duration.zero
    /// The limiters' log lines.
    var log: [String] = []

    private struct Unreadable: Error, CustomStringConvertible { let description: String }

    static func += (left: inout Storm, right: Storm) {
        left.admitted += right.admitted
        left.asked += right.asked
        left.longest = max(left.longest, right.longest)
        left.stoodStill = max(left.stoodStill, right.stoodStill)
        left.log += right.log
    }

    init() {}

    init(_ lines: [String]) throws {
        for line in lines {
            let words = line.split(separator: " ", maxSplits: 1)
            let numbers = line.split(separator: " ").compactMap { UInt64($0) }
            switch words.first {
            case "admitted": admitted.append(Admission(before: numbers[0], after: numbers[1]))
            case "asked":
                asked = Int(numbers[0])
                longest = .nanoseconds(Int64(numbers[1]))
            case "stood-still": stoodStill = .nanoseconds(Int64(numbers[0]))
            case "log": log.append(String(words[1]))
            default: throw Unreadable(description: "What does it mean by \(line)?")
            }
        }
    }
}

/// Processes around one Redis, which they reach through a proxy.
struct Fleet: Sendable {
    let redis: TestRedis
    let proxy: TCPProxy
    /// The way of those who go another one.
    let separate: TCPProxy?
    let members: [LineProcess]

    /// - Parameter apart: so many replicas reach Redis through a proxy of their own.
    init(replicas: Int, timeout: Duration, apart: Int = 0) async throws {
        let redis = try await TestRedis.started()
        let proxy = try TCPProxy(to: redis.port)
        let separate = apart > 0 ? try TCPProxy(to: redis.port) : nil
        let milliseconds = timeout / .milliseconds(1)
        let board = redis.folder.appending(path: "board")
        try Data(repeating: 0, count: replicas).write(to: board)
        members = try (0..<replicas).map { place in
            let port = place < apart ? separate?.port ?? proxy.port : proxy.port
            return try LineProcess(
                try LineProcess.built("rate-replica"),
                [
                    "\(port)", TestRedis.password, "\(replicas)", "\(Int(milliseconds))", board.path, "\(place)",
                ])
        }
        self.separate = separate
        for member in members { _ = try await member.answer(until: "ready") }
        self.redis = redis
        self.proxy = proxy
    }

    /// All ask at the same time.
    func storm(seconds: Int, callers: Int, limit: Int, period: Int, burst: Int) async throws -> Storm {
        let command = "storm \(seconds) \(callers) \(limit) \(period) \(burst)"
        return try await withThrowingTaskGroup(of: Storm.self) { group in
            for member in members { group.addTask { try Storm(try await member.ask(command)) } }
            return try await group.reduce(into: Storm()) { $0 += $1 }
        }
    }

    /// 50 a second, and 12 at once.
    func smallStorm(_ seconds: Int) async throws -> Storm {
        try await storm(seconds: seconds, callers: 4, limit: 3000, period: 60, burst: 12)
    }

    func begin(_ outage: `Rate limits of a fleet`.Outage) async throws {
        switch outage {
        case .killed: try await redis.kill()
        case .paused: redis.pause()
        case .blackHoled: proxy.swallow()
        }
    }

    func end(_ outage: `Rate limits of a fleet`.Outage) async throws {
        switch outage {
        case .killed: try await redis.start()
        case .paused: redis.resume()
        case .blackHoled: proxy.restore()
        }
    }
}
