import Contracts
import OrchestratorCore
import Testing

/// How often lost work is derived again.
@Suite struct `Derivation waits` {
    @Test func `what stays missing is derived at ever longer intervals`() {
        var waits = DerivationWaits()
        let task = newTask().id
        let start = ContinuousClock.now
        var derived: [Int] = []
        for second in stride(from: 0, to: 3600, by: 5) where waits.isDue(task, at: start + .seconds(second)) {
            waits.derived(task, at: start + .seconds(second))
            derived.append(second)
        }
        #expect(derived == [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030])
    }

    @Test func `what was found is derived at once when it is lost again`() {
        var waits = DerivationWaits()
        let (task, now) = (newTask().id, ContinuousClock.now)
        waits.derived(task, at: now)
        waits.keep([task])
        #expect(!waits.isDue(task, at: now))
        waits.keep([])
        #expect(waits.isDue(task, at: now))
    }
}
