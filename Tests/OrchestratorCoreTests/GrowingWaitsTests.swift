import Contracts
import OrchestratorCore
import Testing

/// How often what stays missing is made again.
@Suite struct `Growing waits` {
    @Test func `what stays missing is made at ever longer intervals`() {
        var waits = GrowingWaits(first: .seconds(10), longest: .seconds(600))
        let task = newTask().id
        let start = ContinuousClock.now
        var times: [Int] = []
        for second in stride(from: 0, to: 3600, by: 5) where waits.isDue(task, at: start + .seconds(second)) {
            waits.done(task, at: start + .seconds(second))
            times.append(second)
        }
        #expect(times == [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030])
    }

    @Test func `what was found is made at once when it is lost again`() {
        var waits = GrowingWaits(first: .seconds(10), longest: .seconds(600))
        let (task, now) = (newTask().id, ContinuousClock.now)
        waits.done(task, at: now)
        waits.keep([task])
        #expect(!waits.isDue(task, at: now))
        waits.keep([])
        #expect(waits.isDue(task, at: now))
    }
}
