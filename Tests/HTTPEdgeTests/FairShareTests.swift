import Testing

@testable import HTTPEdge

/// How what is scarce is shared, and the memory for large bodies by that rule.
@Suite(.timeLimit(.minutes(5))) struct `Fair share` {
    /// One after the other: who takes how many, or gives them back when negative, and whether it gets them.
    static let rows: [(what: String, whole: Int, steps: [(owner: String, count: Int, isGranted: Bool)])] = [
        ("nothing", 0, [("a", 1, false)]),
        ("one part", 1, [("a", 1, true), ("b", 1, false)]),
        ("half of all for one alone", 10, [("a", 4, true), ("a", 1, true), ("a", 1, false)]),
        ("half of an odd number, rounded up", 5, [("a", 3, true), ("a", 1, false)]),
        ("all or none at once", 10, [("a", 6, false), ("a", Int.max / 4, false), ("a", 5, true), ("a", 1, false)]),
        (
            "less for each who comes later", 10,
            [
                ("a", 5, true), ("b", 4, false), ("b", 3, true), ("b", 1, false), ("c", 1, true), ("c", 1, false),
                ("d", 1, true), ("e", 1, false),
            ]
        ),
        (
            "again what was given back", 10,
            [("a", 5, true), ("b", 3, true), ("a", -1, true), ("a", 1, false), ("a", -2, true), ("a", 2, true)]
        ),
    ]

    @Test(arguments: rows.indices)
    func `an owner gets more while it holds less than is free`(_ number: Int) {
        let (what, whole, steps) = Self.rows[number]
        var share = FairShare<String>(of: whole)
        var held: [String: Int] = [:]
        for (place, step) in steps.enumerated() {
            var isGranted = true
            if step.count < 0 {
                share.giveBack(-step.count, of: step.owner)
            } else {
                isGranted = share.take(step.count, for: step.owner)
            }
            #expect(isGranted == step.isGranted, "\(what), step \(place)")
            if isGranted { held[step.owner, default: 0] += step.count }
            #expect(share.held(by: step.owner) == held[step.owner, default: 0], "\(what), step \(place)")
            #expect(share.taken == held.values.reduce(0, +), "\(what), step \(place)")
        }
    }

    @Test func `each newcomer finds something, however greedy those before it are`() {
        var share = FairShare<Int>(of: 64)
        var held: [Int] = []
        for owner in 0..<7 {
            while share.take(for: owner) {}
            held.append(share.held(by: owner))
        }
        #expect(held == [32, 16, 8, 4, 2, 1, 1])
    }

    @Test func `one caller's large bodies leave room for another's`() {
        let mib = 1 << 20
        // A little is left to the bodies of other tests.
        let large = LargeBodies.bytesMax / 2 - 16 * mib
        LargeBodies.$caller.withValue("greedy") {
            var first = LargeBodies.Hold()
            var second = LargeBodies.Hold()
            let got = [first.grow(to: large), second.grow(to: 32 * mib), second.grow(to: LargeBodies.freeBytes)]
            #expect(got == [true, false, true])
            let isOthersRead = LargeBodies.$caller.withValue("modest") {
                var body = LargeBodies.Hold()
                return body.grow(to: 32 * mib)
            }
            #expect(isOthersRead)
            let isHeldStill = first.grow(to: large)
            #expect(isHeldStill)
        }
        let isGivenBack = LargeBodies.$caller.withValue("greedy") {
            var body = LargeBodies.Hold()
            return body.grow(to: large)
        }
        #expect(isGivenBack)
    }
}
