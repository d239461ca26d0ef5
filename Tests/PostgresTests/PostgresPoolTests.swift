import Foundation
import Postgres
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct PostgresPoolTests {
    @Test func `a statement answers its rows`() async throws {
        try await withFreshPool { pool in
            let rows = try await pool.execute(Add(left: 40, right: 2))
            #expect(rows == [42])
            #expect(try await pool.sum(1, 2) == 3)
        }
    }

    @Test func `calls made before run wait for the first connection`() async throws {
        let server = try await TestPostgres.shared()
        let pool = PostgresPool(
            PostgresConfiguration(connectionString: server.connectionString(), applicationName: "test"), logger: logger
        )
        async let early = pool.sum(1, 1)
        async let running: Void = pool.run()
        #expect(try await early == 2)
        await pool.shutdown(within: .seconds(2))
        try await running
    }

    @Test func `many callers share few connections`() async throws {
        try await withFreshPool { pool in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<1000 {
                    group.addTask { try await pool.sum(number, 1) }
                }
                var total = 0
                for try await sum in group { total += sum }
                #expect(total == (1...1000).reduce(0, +))
            }
            let server = try await TestPostgres.shared()
            let count = try await server.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test'")
            #expect(try #require(Int(count)) >= 1)
        }
    }

    @Test func `an error of the server is typed and leaves the connection usable`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool in
            let before = try await pool.execute(BackendID())
            _ = try await pool.execute(Insert(key: 1))
            let duplicate = await failure { try await pool.execute(Insert(key: 1)) }
            #expect(duplicate?.code == .constraintViolation)
            #expect(duplicate?.constraint == "item_pkey")
            #expect(duplicate?.sqlState == "23505")
            let negative = await failure { try await pool.execute(Insert(key: 2, worth: -1)) }
            #expect(negative?.constraint == "item_worth_check")
            #expect(try await pool.execute(BackendID()) == before)
            #expect(try await pool.execute(Keys()) == [1])
        }
    }

    @Test func `a deferred constraint that fails at the end of an autocommit statement is an error`() async throws {
        let schema = """
            CREATE TABLE item (key bigint, worth bigint, UNIQUE (key) DEFERRABLE INITIALLY DEFERRED);
            """
        try await withFreshPool(schema) { pool in
            _ = try await pool.execute(Insert(key: 1))
            #expect(await failure { try await pool.execute(Insert(key: 1)) }?.code == .constraintViolation)
            let inside = await failure {
                try await pool.transaction { _ = try $0.execute(Insert(key: 1)) }
            }
            #expect(inside?.code == .constraintViolation)
            #expect(try await pool.execute(Keys()) == [1])
        }
    }

    @Test func `a wrong password is an authentication failure that does not tell it`() async throws {
        let server = try await TestPostgres.shared()
        let wrong = server.connectionString().replacingOccurrences(of: server.password, with: "wrong-secret")
        try await withPool(wrong, { $0.acquireTimeout = .seconds(1) }) { pool in
            let error = await failure { try await pool.sum(1, 1) }
            #expect(error?.code == .authenticationFailed)
            #expect(error?.sqlState == "28P01")
            #expect(error.map { "\($0)".contains("wrong-secret") } == false)
        }
    }

    @Test func `an unreadable connection string is refused without being shown`() async throws {
        try await withPool("postgresql://u:secret@[::1", { $0.acquireTimeout = .milliseconds(200) }) { pool in
            let error = await failure { try await pool.sum(1, 1) }
            #expect(error?.code == .connectFailed)
            #expect(error.map { "\($0)".contains("secret@") } == false)
        }
    }

    @Test func `no server is a failed connect after the acquire timeout`() async throws {
        let port = freePort()
        try await withPool("host=127.0.0.1 port=\(port)", { $0.acquireTimeout = .milliseconds(300) }) { pool in
            let start = ContinuousClock.now
            #expect(await failure { try await pool.sum(1, 1) }?.code == .connectFailed)
            #expect(ContinuousClock.now - start < .seconds(4))
        }
    }

    @Test func `the second host is used when the first is away`() async throws {
        let server = try await TestPostgres.shared()
        let hosts = "host=127.0.0.1,127.0.0.1 port=\(freePort()),\(server.port) target_session_attrs=read-write"
        let target = "\(hosts) user=\(server.user) password=\(server.password) dbname=postgres"
        let sum = try await withPool(target) { try await $0.sum(1, 1) }
        #expect(sum == 2)
    }

    @Test func `waiting longer than the acquire timeout is pool exhaustion`() async throws {
        try await withFreshPool(
            "",
            {
                $0.maxConnections = 1; $0.acquireTimeout = .milliseconds(200)
            }
        ) { pool in
            #expect(try await eventually { (try? await pool.sum(1, 1)) == 2 })
            async let busy = failure { try await pool.sleep(9) }
            try await pool.untilSleeping()
            #expect(await failure { try await pool.sum(1, 1) }?.code == .poolExhausted)
            await pool.shutdown(within: .zero)
            #expect(await busy?.code == .closed)
        }
    }

    @Test func `more waiting calls than the bound are refused at once`() async throws {
        try await withFreshPool(
            "",
            {
                $0.maxConnections = 1; $0.maxWaiting = 2
            }
        ) { pool in
            _ = try await pool.sum(1, 1)
            let codes = await withTaskGroup(of: PostgresError.Code?.self) { group in
                for _ in 0..<6 { group.addTask { await failure { try await pool.execute(Sleep(seconds: 0.2)) }?.code } }
                return await group.reduce(into: [PostgresError.Code?]()) { $0.append($1) }
            }
            #expect(codes.count { $0 == .overloaded } >= 3)
            #expect(codes.count { $0 == nil } >= 2)
        }
    }

    @Test func `a cancelled statement ends promptly and its connection is used again`() async throws {
        try await withFreshPool(
            "",
            {
                $0.maxConnections = 1; $0.cancelGrace = .seconds(5)
            }
        ) { pool in
            let before = try await pool.execute(BackendID())
            let start = ContinuousClock.now
            let error = await withTaskGroup(of: PostgresError?.self) { group in
                group.addTask { await failure { try await pool.execute(Sleep(seconds: 9)) } }
                do { try await pool.untilSleeping() } catch { Issue.record(error) }
                group.cancelAll()
                return await group.next() ?? nil
            }
            #expect(error?.code == .cancelled)
            #expect(ContinuousClock.now - start < .seconds(8))
            #expect(try await pool.execute(BackendID()) == before)
        }
    }

    @Test func `cancelling again and again never stops a neighbour's statement`() async throws {
        try await withFreshPool("", { $0.maxConnections = 2 }) { pool in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for number in 0..<300 {
                        let sum = try await pool.sum(number, 0)
                        #expect(sum == number)
                    }
                }
                for _ in 0..<60 {
                    await withTaskGroup(of: Void.self) { inner in
                        inner.addTask { _ = await failure { try await pool.execute(Sleep(seconds: 0.005)) } }
                        try? await Task.sleep(for: .milliseconds(Int.random(in: 0...8)))
                        inner.cancelAll()
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `a statement past its timeout is stopped by the server`() async throws {
        let adjust: (inout PostgresConfiguration) -> Void = {
            $0.maxConnections = 1
            $0.statementTimeout = .milliseconds(200)
            $0.cancelGrace = .seconds(5)
        }
        try await withFreshPool("", adjust) { pool in
            let before = try await pool.execute(BackendID())
            #expect(await failure { try await pool.execute(Sleep(seconds: 5)) }?.code == .timeout)
            #expect(try await pool.execute(BackendID()) == before)
        }
    }

    @Test func `a call's own timeout stops it by a cancel request`() async throws {
        try await withFreshPool(
            "",
            {
                $0.maxConnections = 1; $0.cancelGrace = .seconds(5)
            }
        ) { pool in
            let before = try await pool.execute(BackendID())
            let start = ContinuousClock.now
            let error = await failure { try await pool.execute(Sleep(seconds: 9), timeout: .milliseconds(200)) }
            #expect(error?.code == .timeout)
            #expect(ContinuousClock.now - start < .seconds(8))
            #expect(try await pool.execute(BackendID()) == before)
        }
    }

    @Test func `a statement is prepared again when its table has changed`() async throws {
        struct All: PostgresStatement {
            static let sql = "SELECT * FROM item"
            static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
        }
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool in
            _ = try await pool.execute(Insert(key: 7))
            #expect(try await pool.execute(All()) == [7])
            let server = try await TestPostgres.shared()
            let database = try await pool.execute(DatabaseName()).joined()
            try await server.sql("ALTER TABLE item ADD COLUMN extra text", database: database)
            #expect(try await pool.execute(All()) == [7])
        }
    }

    @Test func `a script runs several statements, and a failed one keeps nothing`() async throws {
        try await withFreshPool { pool in
            try await pool.script("\(Insert.schema); INSERT INTO item VALUES (1, 1); INSERT INTO item VALUES (2, 2)")
            let error = await failure {
                try await pool.script("INSERT INTO item VALUES (3, 3); INSERT INTO item VALUES (3, 3)")
            }
            #expect(error?.code == .constraintViolation)
            #expect(await failure { try await pool.script("BEGIN; INSERT INTO item VALUES (4, 4)") }?.code == .sql)
            #expect(try await pool.execute(Keys()) == [1, 2])
        }
    }

    @Test func `the observer hears each statement's name and success`() async throws {
        let heard = Mutex<[String]>([])
        let observe: PostgresConfiguration.Observer = { name, duration, succeeded in
            guard name != "SessionSettings", duration > .zero else { return }
            heard.withLock { $0.append("\(name) \(succeeded)") }
        }
        try await withFreshPool(Insert.schema, { $0.observer = observe }) { pool in
            _ = try await pool.execute(Insert(key: 1))
            _ = await failure { try await pool.execute(Insert(key: 1)) }
        }
        #expect(heard.withLock { $0 } == ["Insert true", "Insert false"])
    }

    @Test func `shutdown lets running calls finish and refuses new ones`() async throws {
        try await withFreshPool("", { $0.maxConnections = 1 }) { pool in
            async let slow: Void = pool.sleep(2)
            async let queued = pool.sum(1, 1)
            try await pool.untilSleeping()
            await pool.shutdown(within: .seconds(5))
            try await slow
            #expect(try await queued == 2)
            #expect(await failure { try await pool.sum(1, 1) }?.code == .closed)
        }
    }

    @Test func `shutdown stops what outlasts it`() async throws {
        try await withFreshPool("", { $0.maxConnections = 1 }) { pool in
            async let slow = failure { try await pool.execute(Sleep(seconds: 9)) }
            async let queued = failure { try await pool.sum(1, 1) }
            try await pool.untilSleeping()
            let start = ContinuousClock.now
            await pool.shutdown(within: .milliseconds(100))
            #expect(ContinuousClock.now - start < .seconds(8))
            #expect(await slow?.code == .closed)
            #expect(await queued?.code == .closed)
        }
    }
}

struct DatabaseName: PostgresStatement {
    static let sql = "SELECT current_database()::text"
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}
