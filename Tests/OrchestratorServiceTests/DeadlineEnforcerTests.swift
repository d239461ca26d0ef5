import Postgres
import Storage
import Testing

@testable import OrchestratorService

@Suite struct `Deadline enforcer` {
    @Test func `a task whose row is locked rests for a shorter time than one that cannot be written`() {
        let waited = PostgresError(.timeout, "Nothing was kept.", sqlState: "55P03")
        let tooLong = PostgresError(.timeout, "Nothing was kept.", sqlState: "57014")
        let cases: [(error: any Error, time: Duration)] = [
            (TaskStore.rowIsLocked, .seconds(5)), (waited, .seconds(5)), (tooLong, .seconds(30)),
            (PostgresError(.constraintViolation, "Nothing was kept.", sqlState: "23514"), .seconds(30)),
            (StoreError(.guardFailed, "Nothing was written."), .seconds(30)),
        ]
        for (error, time) in cases {
            #expect(DeadlineEnforcer.restTime(after: error) == time, "\(error)")
        }
    }
}
