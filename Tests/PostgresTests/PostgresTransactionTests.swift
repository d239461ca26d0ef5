import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct PostgresTransactionTests {
    struct Refusal: Error {}

    @Test func `what a transaction writes is kept when it returns`() async throws {
        try await withFreshPool(Insert.schema) { pool in
            let seen = try await pool.transaction { transaction in
                try transaction.execute(Insert(key: 1))
                try transaction.execute(Insert(key: 2))
                return try transaction.execute(Keys())
            }
            #expect(seen == [1, 2])
            #expect(try await pool.execute(Keys()) == [1, 2])
        }
    }

    @Test func `nothing is kept when the body throws`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool in
            let before = try await pool.execute(BackendID())
            await #expect(throws: Refusal.self) {
                try await pool.transaction { transaction in
                    try transaction.execute(Insert(key: 1))
                    throw Refusal()
                }
            }
            #expect(try await pool.execute(Keys()) == [])
            #expect(try await pool.execute(BackendID()) == before)
        }
    }

    @Test func `finish commits with the last statement and nothing can follow it`() async throws {
        try await withFreshPool(Insert.schema) { pool in
            let late = try await pool.transaction { transaction in
                try transaction.execute(Insert(key: 1))
                try transaction.finish(Insert(key: 2))
                do throws(PostgresError) {
                    try transaction.execute(Insert(key: 3))
                    return PostgresError.Code?.none
                } catch {
                    return error.code
                }
            }
            #expect(late == .closed)
            #expect(try await pool.execute(Keys()) == [1, 2])
        }
    }

    @Test func `a finish that fails keeps nothing`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool in
            let before = try await pool.execute(BackendID())
            let error = await failure {
                try await pool.transaction { transaction in
                    try transaction.execute(Insert(key: 1))
                    try transaction.finish(Insert(key: 1))
                }
            }
            #expect(error?.code == .constraintViolation)
            #expect(try await pool.execute(Keys()) == [])
            #expect(try await pool.execute(BackendID()) == before)
        }
    }

    @Test func `enqueued statements travel with the next one`() async throws {
        try await withFreshPool(Insert.schema) { pool in
            let seen = try await pool.transaction { transaction in
                for key in 1...50 { try transaction.enqueue(Insert(key: key)) }
                return try transaction.execute(Keys())
            }
            #expect(seen == Array(1...50))
            try await pool.transaction { transaction in
                try transaction.enqueue(Insert(key: 51))
                try transaction.enqueue(Insert(key: 52))
            }
            #expect(try await pool.execute(Keys()).count == 52)
            let error = await failure {
                try await pool.transaction { transaction in
                    try transaction.enqueue(Insert(key: 60))
                    try transaction.enqueue(Insert(key: 52))
                    try transaction.enqueue(Insert(key: 61))
                }
            }
            #expect(error?.code == .constraintViolation)
            #expect(try await pool.execute(Keys()).count == 52)
        }
    }

    @Test func `a body that ignores a failed statement is rolled back and told`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool in
            let before = try await pool.execute(BackendID())
            let error = await failure {
                try await pool.transaction { transaction in
                    try transaction.execute(Insert(key: 1))
                    do { try transaction.execute(Insert(key: 1)) } catch { return }
                }
            }
            #expect(error?.code == .sql)
            #expect(error?.sqlState == "25P02")
            #expect(try await pool.execute(Keys()) == [])
            #expect(try await pool.execute(BackendID()) == before)
        }
    }

    @Test func `a transaction without statements sends nothing`() async throws {
        let answer = try await withFreshPool { try await $0.transaction { _ in 7 } }
        #expect(answer == 7)
    }

    @Test func `of two serializable transactions that cross, one is told to run again`() async throws {
        struct Total: PostgresStatement {
            static let sql = "SELECT coalesce(sum(worth), 0)::bigint FROM item"
            static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
        }
        try await withFreshPool(Insert.schema) { pool in
            let arrived = Counter()
            let codes = await withTaskGroup(of: PostgresError.Code?.self) { group in
                for key in 1...2 {
                    group.addTask {
                        await failure {
                            try await pool.transaction(isolation: .serializable) { transaction in
                                let total = try transaction.execute(Total()).first ?? 0
                                arrived.add()
                                // Both have read before either writes.
                                try holdThread { arrived.value >= 2 }
                                try transaction.execute(Insert(key: key, worth: total + 1))
                            }
                        }?.code
                    }
                }
                return await group.reduce(into: [PostgresError.Code?]()) { $0.append($1) }
            }
            #expect(codes.contains(.serializationFailure))
            #expect(codes.contains(nil))
            let keys = try await pool.execute(Keys())
            #expect(keys.count == 1)
        }
    }

    @Test func `a cancelled transaction is rolled back and its connection is used again`() async throws {
        try await withFreshPool(
            Insert.schema,
            {
                $0.maxConnections = 1; $0.cancelGrace = .seconds(5)
            }
        ) { pool in
            let before = try await pool.execute(BackendID())
            let error = await withTaskGroup(of: PostgresError?.self) { group in
                group.addTask {
                    await failure {
                        try await pool.transaction { transaction in
                            try transaction.execute(Insert(key: 1))
                            try transaction.execute(Sleep(seconds: 8))
                        }
                    }
                }
                do { try await pool.untilSleeping() } catch { Issue.record(error) }
                group.cancelAll()
                return await group.next() ?? nil
            }
            #expect(error?.code == .cancelled)
            #expect(try await pool.execute(Keys()) == [])
            #expect(try await pool.execute(BackendID()) == before)
        }
    }

    @Test func `a deadlock is typed and the other transaction goes on`() async throws {
        struct Touch: PostgresStatement {
            typealias Row = Void
            static let sql = "UPDATE item SET worth = worth + 1 WHERE key = $1"
            let key: Int
            func bind(to bindings: inout PostgresBindings) { bindings.int(key) }
        }
        try await withFreshPool("\(Insert.schema); INSERT INTO item VALUES (1, 0), (2, 0)") { pool in
            let arrived = Counter()
            let codes = await withTaskGroup(of: PostgresError.Code?.self) { group in
                for keys in [(1, 2), (2, 1)] {
                    group.addTask {
                        await failure {
                            try await pool.transaction { transaction in
                                try transaction.execute(Touch(key: keys.0))
                                arrived.add()
                                try holdThread { arrived.value >= 2 }
                                try transaction.execute(Touch(key: keys.1))
                            }
                        }?.code
                    }
                }
                return await group.reduce(into: [PostgresError.Code?]()) { $0.append($1) }
            }
            #expect(Set(codes) == [.deadlock, nil])
        }
    }
}
