import Testing

@testable import Coordination

@Suite struct FleetGateTests {
    @Test func `after a failure nobody asks for a while, then one tries`() {
        var gate = FleetGate(rest: 500, patience: 100)
        #expect(gate.enter(now: 0) == .ask)
        #expect(gate.failed(.ask, now: 10) == .lost)
        #expect(gate.remaining(now: 110) == 400)
        #expect(gate.enter(now: 509) == .skip)
        #expect(gate.enter(now: 510) == .probe)
        #expect(gate.enter(now: 511) == .skip)
        #expect(gate.failed(.probe, now: 520) == .none)
        #expect(gate.enter(now: 1019) == .skip)
        #expect(gate.enter(now: 1020) == .probe)
        #expect(gate.isAlone)
        #expect(gate.succeeded(.probe) == .returning)
        #expect(gate.enter(now: 1021) == .both && gate.isAlone)
        #expect(gate.remaining(now: 1021) == 0)
        #expect(gate.told() == .regained)
        #expect(gate.enter(now: 1022) == .ask && !gate.isAlone)
        #expect(gate.told() == .none)
    }

    @Test func `while others count alone nobody counts by the whole limit`() {
        var gate = FleetGate(rest: 500, patience: 100)
        #expect(gate.enter(now: 0, peersAlone: true) == .both)
        #expect(!gate.isAlone)
        #expect(gate.enter(now: 1, peersAlone: false) == .ask)
        #expect(gate.failed(.both, now: 2) == .lost)
        #expect(gate.enter(now: 3, peersAlone: true) == .skip)
    }

    @Test func `a failure while returning is the same outage, unless it is an old request's`() {
        var gate = FleetGate(rest: 500, patience: 100)
        #expect(gate.failed(.ask, now: 0) == .lost)
        #expect(gate.enter(now: 500) == .probe)
        #expect(gate.succeeded(.probe) == .returning)
        #expect(gate.failed(.ask, now: 510) == .none)
        #expect(gate.isReturning)
        #expect(gate.failed(.both, now: 520) == .none)
        #expect(gate.enter(now: 521) == .skip)
        #expect(gate.told() == .none)
    }

    @Test func `who was stopped for long asks before it grants`() {
        var gate = FleetGate(rest: 500, patience: 100)
        #expect(gate.failed(.ask, now: 0) == .lost)
        #expect(gate.enter(now: 500) == .probe)
        #expect(gate.enter(now: 599) == .skip)
        #expect(gate.enter(now: 600) == .probe)
    }

    @Test func `requests under way when the first failed change nothing but the rest`() {
        var gate = FleetGate(rest: 500, patience: 100)
        #expect(gate.failed(.ask, now: 0) == .lost)
        #expect(gate.failed(.ask, now: 20) == .none)
        #expect(gate.succeeded(.ask) == .none)
        #expect(gate.enter(now: 519) == .skip)
        #expect(gate.enter(now: 520) == .probe)
        #expect(gate.failed(.ask, now: 525) == .none)
        #expect(gate.succeeded(.probe) == .returning)
    }

    @Test func `a probe that ends without a result leaves the next one to try`() {
        var gate = FleetGate(rest: 500, patience: 100)
        #expect(gate.failed(.ask, now: 0) == .lost)
        #expect(gate.enter(now: 500) == .probe)
        gate.abandoned(.probe)
        #expect(gate.enter(now: 501) == .probe)
    }
}

@Suite struct RecentKeysTests {
    @Test func `it forgets what was used longest ago, as a plain list would`() {
        var random = SeededGenerator(7)
        var keys = RecentKeys<Int64>(capacity: 8)
        var model: [(key: String, value: Int64)] = []
        var differences = 0
        for step in 0..<3000 {
            let key = "\(Int.random(in: 0..<20, using: &random))"
            if Bool.random(using: &random) {
                keys.set(key, Int64(step))
                model.removeAll { $0.key == key }
                model.append((key, Int64(step)))
                if model.count > 8 { model.removeFirst() }
            }
            if keys.value(key) != model.first(where: { $0.key == key })?.value || keys.count != model.count {
                differences += 1
            }
        }
        #expect(differences == 0)
    }
}

@Suite struct ShadowLimiterTests {
    private func cell(_ cost: Int64, burst: Int64 = 12) -> CellRate.Cell {
        CellRate.Cell(interval: 100, burst: burst, cost: cost, arrival: nil)
    }

    /// - Parameter at: by Redis' clock.
    private func decided(_ arrival: Int64, at: Int64) -> CellRate.Outcome {
        let verdict = CellRate.Verdict(retry: 0, remaining: 0, reset: arrival, arrival: arrival)
        return CellRate.Outcome(allowed: true, verdicts: [verdict], at: at)
    }

    @Test func `its keys are bounded`() {
        var shadow = ShadowLimiter(capacity: 100)
        for index in 0..<1000 {
            _ = shadow.decide([cell(1)], keys: ["\(index)"], replicas: 1, now: 0)
        }
        #expect(shadow.count == 100)
    }

    @Test func `the replicas together grant no more than the fleet would`() {
        for replicas in Int64(1)...12 {
            var granted = 0
            for _ in 0..<replicas {
                var shadow = ShadowLimiter(capacity: 10)
                for now in stride(from: Int64(0), to: 3000, by: 5) {
                    let outcome = shadow.decide([cell(1)], keys: ["k"], replicas: replicas, now: now)
                    if outcome.allowed { granted += 1 }
                }
            }
            #expect(granted <= 12 + 30)
            #expect(granted > 25)
        }
    }

    @Test func `whoever loses the fleet's count takes every key to be used up but for one unit`() {
        for replicas in Int64(2)...12 {
            var granted = 0
            for _ in 0..<replicas {
                var shadow = ShadowLimiter(capacity: 10)
                shadow.lost(now: 0)
                for now in stride(from: Int64(0), through: 3000, by: 5) {
                    if shadow.decide([cell(1)], keys: ["k"], replicas: replicas, now: now).allowed { granted += 1 }
                }
            }
            // Of the burst nothing is left: one for each replica, and the rate times the window.
            #expect(granted <= 30 + Int(replicas), "\(replicas) replicas: \(granted)")
            #expect(granted > 20)
        }
        var alone = ShadowLimiter(capacity: 10)
        alone.lost(now: 0)
        let first = (0..<13).map { _ in alone.decide([cell(1)], keys: ["k"], replicas: 1, now: 0).allowed }
        #expect(first.filter { $0 }.count == 12, "a single replica knows what was used")
    }

    @Test func `all that is known and not over is told when Redis is back, once`() {
        var shadow = ShadowLimiter(capacity: 10)
        shadow.learn(["over"], decided(900, at: 1), now: 0)
        shadow.learn(["used"], decided(1400, at: 2), now: 0)
        shadow.lost(now: 1000)
        _ = shadow.decide([cell(1)], keys: ["granted"], replicas: 1, now: 1000)
        let told = Dictionary(uniqueKeysWithValues: shadow.takeUntold(now: 1000).map { ($0.key, $0.floor) })
        #expect(told == ["used": 400, "granted": 100])
        #expect(shadow.takeUntold(now: 1000).isEmpty)
        shadow.tellAgain(["used", "granted"])
        #expect(shadow.takeUntold(now: 1200).map(\.key) == ["used"])
        // What Redis counts besides need not be told.
        _ = shadow.decide([cell(1)], keys: ["both"], replicas: 1, now: 1200, isTold: true)
        #expect(shadow.takeUntold(now: 1200).isEmpty)
    }

    @Test func `what the fleet decided is never unlearned by a reply that was overtaken`() {
        var shadow = ShadowLimiter(capacity: 10)
        shadow.learn(["k"], decided(1200, at: 2), now: 0)
        shadow.learn(["k"], decided(300, at: 1), now: 0)
        #expect(!shadow.decide([cell(1)], keys: ["k"], replicas: 1, now: 0).allowed)
        #expect(shadow.decide([cell(1)], keys: ["k"], replicas: 1, now: 100).allowed)
    }

    @Test func `a later decision of the fleet moves a count back, an overtaken one no more forward`() {
        var shadow = ShadowLimiter(capacity: 10)
        var known: Int64? { shadow.all.first?.arrival }
        shadow.learn(["k"], decided(1200, at: 5), now: 0)
        shadow.learn(["k"], decided(300, at: 7), now: 10)
        #expect(known == 300)
        shadow.learn(["k"], decided(1300, at: 6), now: 20)
        #expect(known == 300, "what was given back stays given back")
        // A run's requests are of one instant, whoever of them comes last.
        shadow.learn(["k"], decided(500, at: 8), now: 30)
        shadow.learn(["k"], decided(400, at: 8), now: 40)
        #expect(known == 500)
        // Another server's clock may be behind; a while later that is no overtaken reply.
        shadow.learn(["k"], decided(450, at: 1), now: 40 + ShadowLimiter.overtaking)
        #expect(known == 450)
    }

    @Test func `what Redis has not been told is not unlearned by what it decided meanwhile`() {
        var shadow = ShadowLimiter(capacity: 10)
        shadow.learn(["k"], decided(600, at: 1), now: 0)
        shadow.lost(now: 0)
        _ = shadow.decide([cell(4)], keys: ["k"], replicas: 1, now: 0)
        shadow.learn(["k"], decided(700, at: 2), now: 10)
        #expect(shadow.takeUntold(now: 10).map(\.floor) == [990])
        shadow.learn(["k"], decided(700, at: 3), now: 20)
        #expect(shadow.all.map(\.arrival) == [700], "told, Redis counts it, and knows better")
    }
}
