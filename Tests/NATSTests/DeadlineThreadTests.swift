import Synchronization
import Testing

@testable import NATS

@Suite struct DeadlineThreadTests {
    @Test func `a tick that asks for its own next time does not keep the thread awake`() async throws {
        let thread = DeadlineThread()
        let ticks = Mutex(0)
        let (third, source) = AsyncStream<Never>.makeStream()
        thread.start(name: "test-deadlines") { now in
            let next = now.advanced(by: .milliseconds(50))
            thread.wake(by: next)
            let count = ticks.withLock { ticks in
                ticks += 1
                return ticks
            }
            if count == 3 { source.finish() }
            return next
        }
        let start = ContinuousClock.now
        for await _ in third {}
        // Three ticks are two waits apart; a thread that wakes itself needs microseconds.
        #expect(ContinuousClock.now - start >= .milliseconds(99))
        thread.stop()
    }
}
