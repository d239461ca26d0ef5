import Foundation
import Postgres
import Synchronization
import TestSupport
import Testing

/// Servers that die, hang or come back, each the test's own.
@Suite(.timeLimit(.minutes(10))) struct FailureTests {
    @Test func `statements are prepared again after a reconnect`() async throws {
        let server = try await TestPostgres.started()
        try await withPool(server.connectionString(), { $0.maxConnections = 1 }) { pool in
            try await pool.script(Insert.schema)
            _ = try await pool.execute(Insert(key: 1))
            let before = try await pool.execute(BackendID())
            try await server.stop()
            try await server.start()
            _ = try await pool.execute(Insert(key: 2))
            #expect(try await pool.execute(Keys()) == [1, 2])
            #expect(try await pool.execute(BackendID()) != before)
        }
    }

    @Test func `an ended session is replaced before the next call needs it`() async throws {
        try await withFreshPool("", { $0.maxConnections = 1 }) { pool in
            let before = try #require(await pool.execute(BackendID()).first)
            let server = try await TestPostgres.shared()
            for _ in 0..<10 {
                let session = try #require(await pool.execute(BackendID()).first)
                try await server.sql("SELECT pg_terminate_backend(\(session), 5000)")
            }
            let after = try #require(await pool.execute(BackendID()).first)
            #expect(after != before)
        }
    }

    @Test func `a session ended under a read runs it again`() async throws {
        struct SlowRead: PostgresStatement {
            static let sql = "SELECT 5::bigint FROM (SELECT pg_sleep(2)) AS pause"
            static let isReadOnly = true
            static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
        }
        try await withFreshPool("", { $0.maxConnections = 1 }) { pool in
            async let read = pool.execute(SlowRead())
            try await pool.untilSleeping()
            try await pool.terminateSessions()
            #expect(try await read == [5])
        }
    }

    @Test func `a session ended under a transaction keeps nothing and says so`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool in
            async let error = failure {
                try await pool.transaction { transaction in
                    try transaction.execute(Insert(key: 1))
                    try transaction.execute(Sleep(seconds: 8))
                }
            }
            try await pool.untilSleeping()
            try await pool.terminateSessions()
            #expect(await error?.code == .connectionLost)
            #expect(try await pool.execute(Keys()) == [])
        }
    }

    @Test func `a server that crashes under an autocommit write leaves the outcome unknown`() async throws {
        let server = try await TestPostgres.started()
        try await withPool(server.connectionString(), { $0.statementTimeout = .seconds(600) }) { pool in
            async let write = failure { try await pool.sleep(600) }
            try await pool.untilSleeping(seenBy: pool)
            try await server.crash()
            let code = await write?.code
            #expect(code == .outcomeUnknown)
        }
    }

    @Test func `under crashes each acknowledged row is there once and each refusal is typed`() async throws {
        let server = try await TestPostgres.started()
        let ledger = Ledger()
        try await withPool(server.connectionString(), { $0.acquireTimeout = .seconds(120) }) { pool in
            try await pool.script(Insert.schema)
            let writer = CoalescingWriter<Int, Bool>(name: "items", pool: pool) { keys, transaction in
                try transaction.finish(InsertMany(keys: keys)).map { _ in true }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<30 {
                    group.addTask { try await keepWriting(worker, pool, writer, ledger) }
                }
                for _ in 0..<3 {
                    #expect(try await ledger.grows(by: 500))
                    try await server.crash()
                    try await server.start()
                }
                #expect(try await ledger.grows(by: 500))
                ledger.stop()
                try await group.waitForAll()
            }
            await writer.shutdown()
            let kept = Set(try await pool.execute(Keys()))
            #expect(ledger.acknowledged.subtracting(kept).isEmpty)
            #expect(kept.subtracting(ledger.acknowledged).isSubset(of: ledger.uncertain))
            #expect(ledger.codes.isSubset(of: [.outcomeUnknown, .connectionLost]))
        }
    }

    @Test func `a silent server holds no caller past its timeout, nor the shutdown`() async throws {
        let server = try await TestPostgres.started()
        let adjust: (inout PostgresConfiguration) -> Void = {
            $0.maxConnections = 2
            $0.acquireTimeout = .milliseconds(400)
            $0.statementTimeout = .milliseconds(400)
            $0.transactionTimeout = .milliseconds(400)
            $0.cancelGrace = .milliseconds(200)
        }
        let clock = ContinuousClock()
        var configuration = PostgresConfiguration(connectionString: server.connectionString(), applicationName: "test")
        adjust(&configuration)
        let pool = PostgresPool(configuration, logger: logger)
        async let running: Void = pool.run()
        #expect(try await eventually { (try? await pool.script(Insert.schema)) != nil })
        // Both connections are up.
        async let first: Void = pool.sleep(0.3)
        async let second: Void = pool.sleep(0.3)
        _ = try await (first, second)
        server.pause()
        let start = clock.now
        let (read, write, change, waiting) = await (
            failure { try await pool.sum(1, 1) }, failure { try await pool.execute(Insert(key: 1)) },
            failure { try await pool.transaction { try $0.execute(Insert(key: 2)) } },
            failure { try await pool.sum(1, 2) }
        )
        #expect(clock.now - start < .seconds(4))
        #expect(read?.code == .timeout)
        #expect(write?.code == .outcomeUnknown)
        #expect([.timeout, .connectFailed].contains(change?.code))
        #expect([.timeout, .connectFailed].contains(waiting?.code))
        async let stuck = failure { try await pool.sum(1, 1) }
        let closing = clock.now
        await pool.shutdown(within: .milliseconds(200))
        // The pool itself waits for nothing any more; the machine may be busy.
        #expect(clock.now - closing < .seconds(4))
        _ = await stuck
        try await running
        server.resume()
    }

    @Test func `after a pause the pool serves again`() async throws {
        let server = try await TestPostgres.started()
        let adjust: (inout PostgresConfiguration) -> Void = {
            $0.statementTimeout = .milliseconds(300)
            $0.connectTimeout = .milliseconds(500)
        }
        try await withPool(server.connectionString(), adjust) { pool in
            _ = try await pool.sum(1, 1)
            server.pause()
            let error = await failure { try await pool.sum(1, 1) }
            #expect(error?.code == .timeout)
            server.resume()
            #expect(try await eventually { (try? await pool.sum(1, 1)) == 2 })
        }
    }

    @Test func `a host that is silent is passed over for the next`() async throws {
        let silent = try await TestPostgres.started()
        silent.pause()
        let server = try await TestPostgres.shared()
        let target =
            "host=127.0.0.1,127.0.0.1 port=\(silent.port),\(server.port) user=\(server.user) "
            + "password=\(server.password) dbname=postgres"
        let adjust: (inout PostgresConfiguration) -> Void = { $0.connectTimeout = .milliseconds(500) }
        let sum = try await withPool(target, adjust) { try await $0.sum(1, 1) }
        #expect(sum == 2)
        silent.resume()
    }
}

struct InsertMany: PostgresStatement {
    static let sql = "INSERT INTO item (key, worth) SELECT key, 0 FROM unnest($1) AS key RETURNING key"
    let keys: [Int]
    func bind(to bindings: inout PostgresBindings) { bindings.ints(keys) }
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// Writes one key after another, in one of three ways.
private func keepWriting(
    _ worker: Int, _ pool: PostgresPool, _ writer: CoalescingWriter<Int, Bool>, _ ledger: Ledger
) async throws {
    while !ledger.isStopped {
        try await ledger.record { key in
            switch worker % 3 {
            case 0: _ = try await pool.execute(Insert(key: key))
            case 1: _ = try await writer.submit(key)
            default: _ = try await pool.transaction { try $0.finish(Insert(key: key)) }
            }
        }
    }
}

/// What many concurrent writers were told about their keys.
private final class Ledger: Sendable {
    private struct State {
        var lastKey = 0
        var isStopped = false
        var acknowledged: Set<Int> = []
        var uncertain: Set<Int> = []
        var codes: Set<PostgresError.Code> = []
    }

    private let state = Mutex(State())

    var isStopped: Bool { state.withLock { $0.isStopped } }
    var acknowledged: Set<Int> { state.withLock { $0.acknowledged } }
    var uncertain: Set<Int> { state.withLock { $0.uncertain } }
    var codes: Set<PostgresError.Code> { state.withLock { $0.codes } }

    func stop() { state.withLock { $0.isStopped = true } }

    /// Writes a key of its own and notes the answer.
    func record(_ write: (Int) async throws -> Void) async throws {
        let key = state.withLock { state in
            state.lastKey += 1
            return state.lastKey
        }
        do {
            try await write(key)
            state.withLock { _ = $0.acknowledged.insert(key) }
        } catch let error as PostgresError {
            state.withLock { state in
                state.codes.insert(error.code)
                if error.code == .outcomeUnknown { state.uncertain.insert(key) }
            }
        }
    }

    func grows(by count: Int) async throws -> Bool {
        let target = acknowledged.count + count
        return try await eventually { acknowledged.count >= target }
    }
}
