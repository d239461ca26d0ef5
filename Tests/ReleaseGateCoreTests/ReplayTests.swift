import ReleaseGateCore
import Testing

@testable import gate_simulation

/// Looks of every kind, from a fixed seed.
@Suite struct `Recorded decisions` {
    static let count = 200

    private static func reading(_ random: inout SeededGenerator) -> Reading {
        let total = Int(random.next() % 2000)
        switch random.next() % 12 {
        case 0: return .missing
        case 1: return .notANumber
        case 2: return .stale(ageSeconds: Int(random.next() % 1000))
        case 3: return .reset
        case 4: return .partial(answered: 1, targets: 3)
        default:
            let bad = Int(random.next() % UInt64(total / 40 + 1))
            return .counted(Sample(total: total, bad: bad, repeats: bad / 4))
        }
    }

    private static func look(_ random: inout SeededGenerator) -> Look {
        var look = Look(services: ["orchestrator", "peer-hub"])
        look.stepIndex = Int(random.next() % 3)
        look.elapsed = Int(random.next() % 6000)
        look.canary = Sample(total: Int(random.next() % 5000) + 1, bad: Int(random.next() % 60))
        look.stable = Sample(total: Int(random.next() % 40_000) + 1, bad: Int(random.next() % 500))
        if random.next() % 2 == 0 { look.newestCanary = reading(&random) }
        if random.next() % 2 == 0 { look.newestStable = reading(&random) }
        look.health = CanaryHealth(ready: 2, desired: 2, crashes: random.next() % 10 == 0 ? 1 : 0)
        look.deadLetters = DeadLetterEvidence(unresolved: Int(random.next() % 14), unresolvedAtStepStart: 0)
        look.schema = random.next() % 4 == 0 ? .pastContract : .compatible
        look.canaryBurn = .init(
            now: [3600, 300].map { .init(seconds: $0, reading: reading(&random)) })
        return look
    }

    @Test func `say the same, byte for byte, when they are made again`() throws {
        var random = SeededGenerator(seed: 7)
        var outcomes: Set<Decision.Outcome> = []
        for number in 0..<Self.count {
            let input = try Self.look(&random).input()
            let decision = Gate.decide(input)
            outcomes.insert(decision.outcome)
            let stored = try Canonical.decode(GateInput.self, from: Canonical.bytes(input))
            #expect(try Canonical.bytes(Gate.decide(stored)) == Canonical.bytes(decision), "look \(number)")
        }
        #expect(outcomes == Set(Decision.Outcome.allCases), "\(outcomes)")
    }

    @Test func `never let a release go on without fresh counts`() throws {
        var random = SeededGenerator(seed: 11)
        for number in 0..<Self.count {
            var look = Self.look(&random)
            look.newestCanary = [.missing, .notANumber, .stale(ageSeconds: 300), .reset][number % 4]
            let outcome = try look.decision().outcome
            #expect(outcome != .advance && outcome != .seal, "look \(number)")
        }
    }

    @Test func `change their digest with any byte of evidence or policy`() throws {
        let input = try Look().input()
        let digests = try [
            Canonical.digest(input.evidence),
            Canonical.digest(Look(canary: Sample(total: 3600, bad: 5)).input().evidence),
            Canonical.digest(input.policy),
            Canonical.digest(GatePolicy(objectives: input.policy.objectives, stepSeconds: 60)),
        ]
        #expect(Set(digests).count == digests.count)
    }
}
