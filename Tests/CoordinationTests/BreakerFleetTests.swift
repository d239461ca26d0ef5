import Redis
import Synchronization
import TestSupport
import Testing

@testable import Coordination

/// Three replicas over a real Redis.
@Suite(.timeLimit(.minutes(3))) struct BreakerFleetTests {
    @Test func `one bad node leaves the fleet closed`() async throws {
        try await BreakerFleet.with(policy: BreakerFleet.lasting, hearing: .nothing) { fleet in
            await fleet.fail(on: 0)
            try await fleet.report(0, 1, 2)
            #expect(fleet.states == [.open, .closed, .closed])
            #expect(fleet.breakers[0].status.origin == .replica)
            let overview = try #require(await fleet.overview)
            #expect(overview.state == .closed && overview.isCurrent)
            #expect(overview.votes.map(\.replica) == ["replica-0", "replica-1", "replica-2"])
            #expect(overview.votes.map(\.isVote) == [true, false, false])
            #expect(overview.votes.map(\.own) == [.open, .closed, .closed])
            #expect(overview.votes[0].failures == 20)
            // The others go on as if nothing were.
            _ = try await fleet.begin(50, on: 1)
        }
    }

    @Test(arguments: [BreakerFleet.Hearing.notices, .poll])
    func `a real outage opens every replica`(hearing: BreakerFleet.Hearing) async throws {
        try await BreakerFleet.with(policy: BreakerFleet.lasting, hearing: hearing) { fleet in
            let watches = fleet.watches()
            // Two see it; the third has no traffic at all.
            await fleet.fail(on: 0)
            await fleet.fail(on: 1)
            await watches.all(.open)
            #expect(fleet.breakers[2].status.origin == .fleet)
            await #expect(throws: BreakerRefusal.self) { try await fleet.breakers[2].call {} }
            let lines = fleet.logs[2].all
            #expect(lines.count { $0.contains("circuit breaker is OPEN") } == 1, "\(lines)")
        }
    }

    @Test func `a reset during calls under way stays closed on all three`() async throws {
        try await BreakerFleet.with(policy: BreakerFleet.lasting) { fleet in
            var underWay: [[CircuitBreaker.Ticket]] = []
            for replica in 0..<3 { underWay.append(try await fleet.begin(100, on: replica)) }
            let opening = fleet.watches()
            await fleet.fail(on: 0)
            await fleet.fail(on: 1)
            await opening.all(.open)
            let closing = fleet.watches()
            guard case .done(let overview) = try await fleet.reset() else { throw Unexpected() }
            #expect(overview.state == .closed && overview.reason == "fixed" && overview.actor == "ops")
            await closing.all(.closed)
            for replica in 0..<3 {
                for ticket in underWay[replica] { fleet.breakers[replica].finish(ticket, .failure) }
            }
            try await fleet.report(0, 1, 2)
            #expect(fleet.states == [.closed, .closed, .closed])
            #expect(fleet.breakers.map(\.status.calls) == [0, 0, 0])
            #expect(await fleet.overview?.version == overview.version)
        }
    }

    @Test func `a replica that did not hear of a reset cannot open the fleet again`() async throws {
        try await BreakerFleet.with(policy: BreakerFleet.lasting, hearing: .nothing) { fleet in
            await fleet.fail(on: 1)
            await fleet.fail(on: 2)
            _ = try await fleet.reset()
            // Both found out before the reset what they tell after it.
            try await fleet.report(1, 2, 0)
            #expect(fleet.states == [.closed, .closed, .closed])
            #expect(await fleet.overview?.state == .closed)
        }
    }

    @Test func `while half-open five probes go in total, and close the fleet`() async throws {
        try await BreakerFleet.with { fleet in
            let opening = fleet.watches()
            await fleet.fail(on: 0)
            await fleet.fail(on: 1)
            await opening.all(.open)
            let closing = fleet.watches()
            let probes = Count()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for replica in 0..<60 {
                    group.addTask { try await Self.insist(fleet, on: replica % 3, probes) }
                }
                await closing.all(.closed)
                try await group.waitForAll()
            }
            #expect(probes.value == 5)
        }
    }

    /// Asks without a pause until the replica is closed, and holds each probe back until five are under way.
    private static func insist(_ fleet: BreakerFleet, on replica: Int, _ probes: Count) async throws {
        while fleet.states[replica] != .closed {
            do {
                try await fleet.breakers[replica].call {
                    // Once a replica is closed its calls are no probes any more.
                    if fleet.states[replica] == .closed { return }
                    probes.add()
                    while probes.value < 5 { await Task.yield() }
                }
            } catch is BreakerRefusal {
                await Task.yield()
            }
        }
    }

    @Test func `a probe that fails opens the fleet again for twice as long`() async throws {
        try await BreakerFleet.with(hearing: .nothing) { fleet in
            await fleet.fail(on: 0)
            await fleet.fail(on: 1)
            try await fleet.report(0, 1, 2)
            #expect(fleet.states == [.open, .open, .open])
            let probe = try await firstProbe(of: fleet, on: 2)
            #expect(fleet.states[2] == .halfOpen)
            fleet.breakers[2].finish(probe, .failure)
            try await fleet.runErrands(of: 2)
            try await fleet.report(0, 1)
            #expect(fleet.states == [.open, .open, .open])
            guard case .refused(let refusal) = await fleet.breakers[0].admit() else { throw Unexpected() }
            #expect(refusal.retryAfter > .milliseconds(200) && refusal.retryAfter <= .milliseconds(400))
        }
    }

    /// Asks until the open wait is over.
    private func firstProbe(of fleet: BreakerFleet, on replica: Int) async throws -> CircuitBreaker.Ticket {
        while true {
            switch await fleet.breakers[replica].admit() {
            case .admitted(let ticket): return ticket
            case .refused: await Task.yield()
            }
        }
    }

    @Test func `without Redis each replica goes by its own window, and the fleet is one again with it`() async throws {
        // Long enough that the slowest poll finds it open.
        let policy = BreakerPolicy(openWait: .seconds(1), jitterPercent: 0)
        try await BreakerFleet.with(policy: policy, hearing: .poll) { fleet in
            let opening = fleet.watches()
            await fleet.fail(on: 0)
            await fleet.fail(on: 1)
            await opening.all(.open)
            let closing = fleet.watches()
            try await fleet.server.kill()
            // Nobody is let through before the wait is over, and then a third of the fleet's five probes each.
            let counts = (0..<3).map { _ in Count() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for replica in 0..<3 {
                    group.addTask {
                        while fleet.states[replica] != .closed {
                            do {
                                try await fleet.breakers[replica].call { counts[replica].add() }
                            } catch is BreakerRefusal { await Task.yield() }
                        }
                    }
                }
                try await group.waitForAll()
            }
            await closing.all(.closed)
            #expect(counts.map(\.value) == [1, 1, 1])
            #expect(fleet.breakers.map(\.status.isShared) == [false, false, false])
            // A replica that finds its dependency away opens itself; the others go on.
            await fleet.fail(on: 0)
            #expect(fleet.states == [.open, .closed, .closed])
            #expect(await fleet.overview?.isCurrent == false)
            let refused = await #expect(throws: CoordinationError.self) { _ = try await fleet.reset() }
            #expect(refused?.code == .unavailable)
            try await fleet.server.start()
            for redis in fleet.connections { try await redis.waitUntilConnected(within: patience) }
            try await fleet.report(0, 1, 2)
            try await fleet.report(0)
            #expect(fleet.breakers.map(\.status.isShared) == [true, true, true])
            #expect(await fleet.overview?.votes.map(\.isVote) == [true, false, false])
            for log in fleet.logs {
                #expect(log.all.count { $0.contains("decide alone") } == 1, "\(log.all)")
            }
        }
    }

    @Test func `a lost record takes nothing from what the replicas know`() async throws {
        try await BreakerFleet.with(policy: BreakerFleet.lasting, hearing: .nothing) { fleet in
            await fleet.fail(on: 0)
            await fleet.fail(on: 1)
            try await fleet.report(0, 1, 2)
            _ = try await fleet.connections[0].command(["FLUSHALL"])
            // Each learns of the new record first, and votes on it then.
            try await fleet.report(0, 1, 2)
            #expect(await fleet.overview?.state == .closed)
            try await fleet.report(0, 1, 2, 0)
            #expect(fleet.states == [.open, .open, .open])
            #expect(await fleet.overview?.state == .open)
        }
    }

    @Test func `while it is closed a call asks nothing of Redis`() async throws {
        try await BreakerFleet.with(1, hearing: .nothing) { fleet in
            func commands() async throws -> Substring? {
                let info = try await fleet.connections[0].command(["INFO", "stats"]).text ?? ""
                return info.split(separator: "\r\n").first { $0.hasPrefix("total_commands_processed:") }?.dropFirst(25)
            }
            let before = try #require(Int(await commands() ?? ""))
            for number in 0..<10_000 {
                try await fleet.breakers[0].call { if number % 3 == 0 { await Task.yield() } }
            }
            #expect(try Int(await commands() ?? "") == before + 1)
            #expect(fleet.breakers[0].status.calls > 0)
        }
    }

    struct Unexpected: Error {}
}

/// A number that several tasks raise.
final class Count: Sendable {
    private let number = Mutex(0)

    var value: Int { number.withLock { $0 } }
    func add() { number.withLock { $0 += 1 } }
}
