import Foundation
import Postgres
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct PostgresLeadershipTests {
    /// Who leads, as the bodies themselves see it.
    final class Stage: Sendable {
        private struct State {
            var present = 0
            var mostPresent = 0
            var terms: [Int] = []
        }

        private let state = Mutex(State())

        var mostPresent: Int { state.withLock { $0.mostPresent } }
        var terms: [Int] { state.withLock { $0.terms } }

        func enter(_ candidate: Int) {
            state.withLock { state in
                state.present += 1
                state.mostPresent = max(state.mostPresent, state.present)
                state.terms.append(candidate)
            }
        }

        func leave() { state.withLock { $0.present -= 1 } }
    }

    struct EndLeader: PostgresStatement {
        static let sql = """
            SELECT pg_terminate_backend(pid) FROM pg_locks
            WHERE locktype = 'advisory' AND granted AND objid = $1 AND objsubid = 1
            """
        let key: Int
        func bind(to bindings: inout PostgresBindings) { bindings.int(key) }
        static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
    }

    struct WaitingForLock: PostgresStatement {
        static let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $1"
        let key: Int
        func bind(to bindings: inout PostgresBindings) { bindings.int(key) }
        static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
    }

    @Test func `leadership moves when the leader's session is ended, and two never lead at once`() async throws {
        let key = 4711
        let stage = Stage()
        try await withFreshPool { pool in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for candidate in 1...3 {
                    let leadership = PostgresLeadership(
                        pool.configuration, key: Int64(key), takeoverDelay: .milliseconds(300), logger: logger
                    )
                    group.addTask {
                        try await leadership.run {
                            stage.enter(candidate)
                            defer { stage.leave() }
                            try await Task.sleep(for: .seconds(600))
                        }
                    }
                }
                for term in 1...4 {
                    #expect(try await eventually { stage.terms.count >= term })
                    let ended = try await pool.execute(EndLeader(key: key))
                    #expect(ended == [true])
                }
                #expect(try await eventually { stage.terms.count >= 5 })
                group.cancelAll()
                try await group.waitForAll()
            }
        }
        #expect(stage.mostPresent == 1)
    }

    @Test func `a leader whose server falls silent stops leading`() async throws {
        let server = try await TestPostgres.started()
        let configuration = PostgresConfiguration(connectionString: server.connectionString(), applicationName: "test")
        let stage = Stage()
        let left = Counter()
        let leadership = PostgresLeadership(configuration, key: 1, takeoverDelay: .zero, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await leadership.run {
                    stage.enter(1)
                    defer { left.add() }
                    try await Task.sleep(for: .seconds(600))
                }
            }
            #expect(try await eventually { stage.terms.count == 1 })
            #expect(leadership.isLeading)
            server.pause()
            #expect(try await eventually { left.value == 1 })
            #expect(!leadership.isLeading)
            server.resume()
            #expect(try await eventually { stage.terms.count == 2 })
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test func `run returns when the body does, and throws what the body throws`() async throws {
        struct Refusal: Error {}
        let server = try await TestPostgres.shared()
        let configuration = PostgresConfiguration(connectionString: server.connectionString(), applicationName: "test")
        let leadership = PostgresLeadership(configuration, key: 4712, takeoverDelay: .zero, logger: logger)
        try await leadership.run {}
        await #expect(throws: Refusal.self) { try await leadership.run { throw Refusal() } }
    }

    @Test func `a session lock lets one body in at a time`() async throws {
        let stage = Stage()
        try await withFreshPool { pool in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for candidate in 1...5 {
                    group.addTask {
                        try await pool.withSessionLock(99) {
                            stage.enter(candidate)
                            defer { stage.leave() }
                            try await pool.sleep(0.02)
                            return candidate
                        }
                    }
                }
                var sum = 0
                for try await candidate in group { sum += candidate }
                #expect(sum == 15)
            }
        }
        #expect(stage.mostPresent == 1)
        #expect(stage.terms.count == 5)
    }

    @Test func `a body that loses its session lock is cancelled and the loss is told`() async throws {
        try await withFreshPool { pool in
            let entered = Counter()
            async let error = failure {
                try await pool.withSessionLock(4713) {
                    entered.add()
                    try await Task.sleep(for: .seconds(600))
                }
            }
            #expect(try await eventually { entered.value == 1 })
            try await pool.execute(EndLeader(key: 4713))
            #expect(await error?.code == .connectionLost)
        }
    }

    @Test func `waiting for a session lock ends with the task`() async throws {
        try await withFreshPool { pool in
            try await pool.withSessionLock(4714) {
                await withTaskGroup(of: Bool.self) { group in
                    group.addTask {
                        do {
                            try await pool.withSessionLock(4714) {}
                            return false
                        } catch {
                            return error is CancellationError
                        }
                    }
                    let isWaiting = try? await eventually { try await pool.execute(WaitingForLock(key: 4714)) == [1] }
                    #expect(isWaiting == true)
                    group.cancelAll()
                    #expect(await group.next() == true)
                }
            }
        }
    }
}
