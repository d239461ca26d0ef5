import Testing

@testable import Coordination

/// How a replica puts together what it found out itself and what it hears of the fleet. Fleet time is in milliseconds.
@Suite struct LocalBreakerTests {
    static let policy = BreakerPolicy(jitterPercent: 0)
    static let now: Int64 = 50_000_000

    /// A record as Redis would hold it at 1000 ms.
    static func record(_ phase: BreakerCycle<String>.Phase, version: Int64 = 1000, born: Int64 = 1000) -> FleetRecord {
        var record = FleetRecord(now: born)
        record.cycle = BreakerCycle(epoch: version)
        record.cycle.phase = phase
        record.cycle.openings = phase == .closed ? 0 : 1
        return record
    }

    static func halfOpen(version: Int64) -> FleetRecord {
        record(.halfOpen(BreakerCycle.Probation(deadline: 60_000)), version: version)
    }

    static func tripped() -> LocalBreaker {
        var local = LocalBreaker(policy)
        for _ in 0..<20 {
            if case .pass(.counted(let ticket)) = local.ask(now: now, share: 1) {
                local.finish(ticket, .failure, now: now, share: 1)
            }
        }
        return local
    }

    @Test func `it opens itself at once, whatever the fleet thinks`() {
        var local = Self.tripped()
        local.learn(Self.record(.closed), fleetNow: 1000, now: Self.now)
        #expect(local.standing(now: Self.now) == (.open, .replica))
        #expect(local.ask(now: Self.now + 1, share: 1) == .refuse(retry: 4_999_999))
        // Its own probes are its own: the fleet is not asked.
        guard case .pass(.counted(let probe)) = local.ask(now: Self.now + 5_000_000, share: 1) else {
            Issue.record("no probe")
            return
        }
        #expect(probe.probe != 0)
    }

    @Test func `while the fleet is open it refuses, then asks the fleet for probes`() {
        var local = LocalBreaker(Self.policy)
        local.learn(Self.record(.open(until: 3000)), fleetNow: 1000, now: Self.now)
        #expect(local.ask(now: Self.now, share: 1) == .refuse(retry: 2_000_000))
        let due = Self.now + 2_000_000
        for _ in 0..<5 { #expect(local.ask(now: due, share: 1) == .askFleet) }
        #expect(local.ask(now: due, share: 1) == .refuse(retry: LocalBreaker.askRest))
        for _ in 0..<5 { local.fleetAnswered(isRefused: true, now: due) }
        #expect(local.ask(now: due, share: 1) == .refuse(retry: LocalBreaker.askRest))
        #expect(local.ask(now: due + LocalBreaker.askRest, share: 1) == .askFleet)
        local.learn(Self.halfOpen(version: 1001), fleetNow: 3000, now: due)
        #expect(local.standing(now: due) == (.halfOpen, .fleet))
    }

    @Test func `without the fleet it goes on with a share of the probes`() {
        var local = LocalBreaker(Self.policy)
        local.learn(Self.halfOpen(version: 1001), fleetNow: 3000, now: Self.now)
        local.isShared = false
        guard case .pass(.counted(let probe)) = local.ask(now: Self.now, share: 3) else {
            Issue.record("no probe")
            return
        }
        #expect(local.ask(now: Self.now, share: 3) == .refuse(retry: BreakerCore.probeRetry))
        local.finish(probe, .success, now: Self.now, share: 3)
        #expect(local.standing(now: Self.now) == (.closed, .replica))
        // The fleet, when it is there again, has the last word.
        local.learn(Self.halfOpen(version: 1001), fleetNow: 4000, now: Self.now + 1_000_000)
        #expect(local.standing(now: Self.now + 1_000_000) == (.halfOpen, .fleet))
    }

    @Test func `when the fleet closes it begins afresh and ignores what is under way`() {
        var local = LocalBreaker(Self.policy)
        guard case .pass(.counted(let old)) = local.ask(now: Self.now, share: 1) else { return }
        local.learn(Self.record(.open(until: 3000)), fleetNow: 1000, now: Self.now)
        local.learn(Self.record(.closed, version: 1002), fleetNow: 1001, now: Self.now)
        for _ in 0..<40 { local.finish(old, .failure, now: Self.now, share: 1) }
        #expect(local.standing(now: Self.now) == (.closed, .replica))
        #expect(local.core.window.counts(now: Self.now).calls == 0)
    }

    @Test(arguments: [Int64(1), 10_000_000]) func `an answer that was overtaken is passed over, however late`(
        delay: Int64
    ) {
        var local = LocalBreaker(Self.policy)
        let late = Self.now + delay
        let stale = Self.record(.closed, version: 1000)
        local.learn(Self.record(.open(until: 30_000), version: 1001), fleetNow: 1010, now: Self.now)
        local.learn(stale, fleetNow: 1009, askedAt: Self.now - 1, now: late)
        #expect(local.standing(now: late) == (.open, .fleet))
        local.learn(stale, fleetNow: 1010, askedAt: Self.now, now: late)
        #expect(local.standing(now: late) == (.open, .fleet))
        // Asked for afterwards it is what Redis thinks now.
        local.learn(stale, fleetNow: 1009, askedAt: Self.now + 1, now: late)
        #expect(local.view?.record.version == 1000)
    }

    @Test(arguments: [(Int64(1000), Int64(999), Int64(2000)), (1000, 999, 500), (5000, 5000, 5000)])
    func `a record that went back or began anew takes nothing from what the replica knows`(
        born: Int64, version: Int64, fleetNow: Int64
    ) {
        var local = Self.tripped()
        local.learn(Self.record(.closed), fleetNow: 1000, now: Self.now)
        let later = Self.now + 2
        let record = Self.record(.closed, version: version, born: born)
        local.learn(record, fleetNow: fleetNow, askedAt: Self.now + 1, now: later)
        #expect(local.standing(now: later) == (.open, .replica))
        #expect(local.view?.record.version == version)
        // An operator's word clears it all the same.
        var reset = Self.record(.closed, version: version + 1, born: born + 1)
        reset.actor = "ops"
        local.learn(reset, fleetNow: fleetNow + 1, now: later)
        #expect(local.standing(now: later) == (.closed, .replica))
    }

    @Test func `a mode ends in time though nobody says so`() {
        var local = LocalBreaker(Self.policy)
        var record = Self.record(.closed)
        record.mode = .forcedOpen
        record.modeUntil = 2000
        local.learn(record, fleetNow: 1000, now: Self.now)
        local.isShared = false
        #expect(local.standing(now: Self.now + 999_999) == (.open, .operator))
        #expect(local.ask(now: Self.now + 400_000, share: 1) == .refuse(retry: 600_000))
        #expect(local.standing(now: Self.now + 1_000_000) == (.closed, .replica))
    }

    @Test func `after metrics only, calls that began in it are counted and may open it`() {
        var local = LocalBreaker(Self.policy)
        var record = Self.record(.closed)
        record.mode = .metricsOnly
        record.modeUntil = 2000
        local.learn(record, fleetNow: 1000, now: Self.now)
        guard case .pass(.counted(let ticket)) = local.ask(now: Self.now, share: 1) else { return }
        for _ in 0..<30 { local.finish(ticket, .failure, now: Self.now + 999_999, share: 1) }
        #expect(local.standing(now: Self.now + 999_999).state == .closed)
        local.finish(ticket, .failure, now: Self.now + 1_000_000, share: 1)
        #expect(local.standing(now: Self.now + 1_000_000) == (.open, .replica))
    }
}

extension LocalBreaker {
    /// Learns what was asked for in the same moment.
    fileprivate mutating func learn(_ record: FleetRecord, fleetNow: Int64, now: Int64) {
        learn(record, fleetNow: fleetNow, askedAt: now, now: now)
    }
}
