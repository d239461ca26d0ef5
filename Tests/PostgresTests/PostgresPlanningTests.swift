import Postgres
import TestSupport
import Testing

/// How the session plans, as a statement of either kind finds it.
private struct ModeByCall: PostgresStatement {
    static let sql = "SELECT current_setting('plan_cache_mode'), current_setting('enable_seqscan')"
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> [String] {
        [try row.text(0), try row.text(1)]
    }
}

private struct ModeOnce: PostgresStatement {
    static let planning = PostgresPlanning.once
    static let sql = ModeByCall.sql
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> [String] { try ModeByCall.row(row) }
}

/// Finds one row among few, which the server by itself would read the whole table for.
private struct WorthOf: PostgresStatement {
    static let planning = PostgresPlanning.once
    static let sql = "SELECT worth FROM item WHERE key = ANY ($1::int8[])"
    let keys: [Int]
    func bind(to bindings: inout PostgresBindings) { bindings.ints(keys) }
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// Cannot read its own answer.
private struct Unreadable: PostgresStatement {
    static let sql = "INSERT INTO item (key, worth) VALUES (77, 0) RETURNING 'text'"
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// How often a statement of this session was planned once and planned anew.
private struct PlansOf: PostgresStatement {
    static let sql = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name LIKE '%\\_' || $1"
    let name: String
    func bind(to bindings: inout PostgresBindings) { bindings.text(name) }
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> [Int] { [try row.int(0), try row.int(1)] }
}

@Suite(.timeLimit(.minutes(10))) struct PostgresPlanningTests {
    private static let once = ["force_generic_plan", "off"]
    private static let byCall = ["auto", "on"]

    @Test func `a statement planned once is never planned again, whatever is called in between`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool in
            for key in 1...8 {
                try await pool.execute(Insert(key: key, worth: key * 10))
                #expect(try await pool.execute(WorthOf(keys: [key])) == [key * 10])
            }
            #expect(try await pool.execute(PlansOf(name: "WorthOf")) == [[8, 0]])
            #expect(try await pool.execute(PlansOf(name: "Insert")).first?.last != 0)
        }
    }

    @Test func `each kind finds the session as it wants it, in transactions too`() async throws {
        try await withFreshPool("", { $0.maxConnections = 1 }) { pool in
            #expect(try await pool.execute(ModeByCall()) == [Self.byCall])
            #expect(try await pool.execute(ModeOnce()) == [Self.once])
            let seen = try await pool.transaction { transaction in
                [
                    try transaction.execute(ModeByCall()), try transaction.execute(ModeOnce()),
                    try transaction.execute(ModeByCall()),
                ]
            }
            #expect(seen == [[Self.byCall], [Self.once], [Self.byCall]])
        }
    }

    @Test func `a rollback that undoes the change does not mislead the next call`() async throws {
        struct Refusal: Error {}
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool in
            let before = try await pool.execute(BackendID())
            await #expect(throws: Refusal.self) {
                try await pool.transaction { transaction in
                    _ = try transaction.execute(ModeOnce())
                    throw Refusal()
                }
            }
            #expect(try await pool.execute(ModeOnce()) == [Self.once])
            let error = await failure {
                try await pool.transaction { transaction in
                    _ = try transaction.execute(ModeByCall())
                    try transaction.execute(Insert(key: 1, worth: -1))
                }
            }
            #expect(error?.code == .constraintViolation)
            #expect(try await pool.execute(ModeByCall()) == [Self.byCall])
            #expect(try await pool.execute(ModeOnce()) == [Self.once])
            #expect(try await pool.execute(BackendID()) == before)
        }
    }

    @Test func `two statements in one round trip answer both`() async throws {
        try await withFreshPool(Insert.schema) { pool in
            let (sums, keys) = try await pool.transaction { transaction in
                try transaction.enqueue(Insert(key: 5))
                let (sums, keys) = try transaction.execute(Add(left: 1, right: 2), Keys())
                return (sums, keys)
            }
            #expect(sums == [3])
            #expect(keys == [5])
        }
    }

    @Test func `when either of two statements fails, nothing is kept`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool in
            let before = try await pool.execute(BackendID())
            let first = await failure {
                try await pool.transaction { _ = try $0.execute(Insert(key: 1, worth: -1), Keys()) }
            }
            #expect(first?.code == .constraintViolation)
            let second = await failure {
                try await pool.transaction { _ = try $0.execute(Keys(), Insert(key: 1, worth: -1)) }
            }
            #expect(second?.code == .constraintViolation)
            let unread = await failure {
                try await pool.transaction { _ = try $0.execute(Unreadable(), Keys()) }
            }
            #expect(unread?.code == .decoding)
            #expect(try await pool.execute(Keys()) == [])
            #expect(try await pool.execute(BackendID()) == before)
        }
    }
}
