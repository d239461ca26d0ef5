import Testing

@testable import Postgres

@Suite(.timeLimit(.minutes(10))) struct JobQueueTests {
    /// Waits for a connection and counts how it was answered.
    private final class Waiting: Job {
        let acquireDeadline: ContinuousClock.Instant
        let refusals = Counter()

        init(_ acquireDeadline: ContinuousClock.Instant) { self.acquireDeadline = acquireDeadline }

        func run(on connection: PostgresConnection) {}

        func refuse(_ error: PostgresError) { refusals.add() }
    }

    @Test func `a job that is put back is still refused when its time is over`() async throws {
        let queue = JobQueue(capacity: 8, grace: .seconds(1))
        let job = Waiting(.now + .milliseconds(100))
        queue.enqueue(job)
        guard case .job(let taken) = queue.next(within: .seconds(1)) else {
            Issue.record("The job was not handed out.")
            return
        }
        // By now the queue has looked for overdue jobs, found none, and has nothing to wait for.
        try await Task.sleep(for: .milliseconds(300))
        #expect(job.refusals.value == 0)
        queue.putBack(taken)
        #expect(try await eventually { job.refusals.value == 1 })
        queue.close(within: .zero)
        #expect(try await eventually { queue.ended.isOpen })
    }
}
