import Redis
import TestSupport
import Testing

@testable import Coordination

/// Three replicas in three processes, over a real Redis and, for their notices, a real NATS. How soon they hear of each
/// other is measured by scripts/bench; here that they do is all that counts.
@Suite(.serialized, .timeLimit(.minutes(2))) struct BreakerProcessTests {
    @Test func `one bad node leaves the fleet closed`() async throws {
        try await BreakerProcesses.with { fleet in
            try fleet.replicas[0].say("fail 20")
            try await fleet.replicas[0].hear(all: ["done fail 20 20 0", "state open replica"])
            // Its vote is known, and the others have been told.
            let overview = try await fleet.overview { $0.votes.contains { $0.isVote } }
            #expect(overview.state == .closed)
            #expect(overview.votes.map(\.isVote) == [true, false, false])
            for replica in fleet.replicas[1...] { #expect(try await replica.ask("succeed 1000") == ["1000", "0"]) }
            #expect(try await fleet.states() == ["open", "closed", "closed"])
            // All three have reported once more since.
            let later = try await fleet.overview { $0.votes.dropFirst().allSatisfy { $0.calls >= 1000 } }
            #expect(later.state == .closed && later.version == overview.version)
            #expect(try await fleet.states() == ["open", "closed", "closed"])
        }
    }

    @Test(arguments: [true, false])
    func `a real outage opens it everywhere`(hasNotices: Bool) async throws {
        try await BreakerProcesses.with(hasNotices: hasNotices) { fleet in
            // Two see it; the third has no traffic at all, and hears of it.
            for replica in fleet.replicas[..<2] { try replica.say("fail 20") }
            _ = try await fleet.all { try await $0.hear("state open") }
            #expect(try await fleet.replicas[2].ask("state").prefix(2) == ["open", "fleet"])
            #expect(try await fleet.replicas[2].ask("succeed 10") == ["0", "10"])
        }
    }

    @Test func `a reset during calls under way stays closed on all three`() async throws {
        try await BreakerProcesses.with { fleet in
            for replica in fleet.replicas { #expect(try await replica.ask("begin 100") == ["100"]) }
            for replica in fleet.replicas[..<2] { try replica.say("fail 20") }
            _ = try await fleet.all { try await $0.hear("state open") }
            try fleet.replicas[2].say("reset")
            _ = try await fleet.all { try await $0.hear("state closed") }
            let reset = try await fleet.overview { $0.state == .closed }
            // What was under way fails now, three hundred times.
            for replica in fleet.replicas { #expect(try await replica.ask("end failure") == ["100"]) }
            for replica in fleet.replicas { #expect(try await replica.ask("succeed 1") == ["1", "0"]) }
            // All three have told the fleet since; they count that one call and none of those.
            let later = try await fleet.overview { $0.votes.allSatisfy { $0.calls == 1 } }
            #expect(later.state == .closed && later.version == reset.version)
            #expect(later.votes.allSatisfy { $0.failures == 0 && !$0.isVote && $0.own == .closed })
            #expect(try await fleet.states() == ["closed", "closed", "closed"])
        }
    }

    @Test func `while half-open five probes go in total, and close the fleet`() async throws {
        try await BreakerProcesses.with(openWait: .milliseconds(300)) { fleet in
            for replica in fleet.replicas[..<2] { try replica.say("fail 20") }
            _ = try await fleet.all { try await $0.hear("state open") }
            // Sixty ask without a pause; each probe is held long enough that all have asked meanwhile.
            let probes = try await fleet.all { try await Int($0.ask("probe 200")[0]) ?? -1 }
            #expect(probes.reduce(0, +) == 5, "\(probes)")
            #expect(try await fleet.states() == ["closed", "closed", "closed"])
        }
    }

    @Test func `while Redis stands still calls go on, and nobody opens for another`() async throws {
        try await BreakerProcesses.with { fleet in
            fleet.redis.pause()
            let start = ContinuousClock.now
            #expect(try await fleet.replicas[0].ask("fail 20") == ["20", "0"])
            for replica in fleet.replicas[1...] { #expect(try await replica.ask("succeed 1000") == ["1000", "0"]) }
            #expect(try await fleet.states() == ["open", "closed", "closed"])
            // Redis' time limit is no part of a call: those of 2020 calls are eight minutes.
            #expect(ContinuousClock.now - start < .seconds(60))
            fleet.redis.resume()
            _ = try await fleet.overview { $0.votes.contains { $0.isVote } }
            // The second vote opens the fleet as if nothing had been.
            try fleet.replicas[1].say("fail 2000")
            _ = try await fleet.all { try await $0.ask("state")[0] == "open" ? () : try await Self.opening($0) }
            #expect(try await fleet.states() == ["open", "open", "open"])
        }
    }

    private static func opening(_ replica: BreakerProcess) async throws { try await replica.hear("state open") }

    @Test func `when Redis is killed each opens for itself and divides the probes, and Redis joins them again`()
        async throws
    {
        try await BreakerProcesses.with(openWait: .seconds(1), interval: .milliseconds(200)) { fleet in
            for replica in fleet.replicas[..<2] { try replica.say("fail 20") }
            _ = try await fleet.all { try await $0.hear("state open") }
            try await fleet.redis.kill()
            let probes = try await fleet.all { try await Int($0.ask("probe 50")[0]) ?? -1 }
            #expect(probes.allSatisfy { $0 >= 1 } && probes.reduce(0, +) <= 5, "\(probes)")
            #expect(try await fleet.states() == ["closed", "closed", "closed"])
            #expect(try await fleet.replicas[0].ask("fail 40").last != "0")
            #expect(try await fleet.states() == ["open", "closed", "closed"])
            try await fleet.redis.start()
            try await fleet.connection.waitUntilConnected(within: patience)
            _ = try await fleet.overview { $0.votes.count == 3 }
            _ = try await fleet.all { replica in
                while try await replica.ask("state")[3] != "shared" { await Task.yield() }
            }
        }
    }
}
