import Foundation
import Postgres
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct CoalescingWriterTests {
    struct Item: Sendable {
        let key: Int
        var worth = 0
    }

    struct InsertItems: PostgresStatement {
        static let sql = """
            INSERT INTO item (key, worth) SELECT key, worth FROM unnest($1, $2) AS t (key, worth) RETURNING key
            """
        let items: [Item]
        func bind(to bindings: inout PostgresBindings) {
            bindings.ints(items.map(\.key))
            bindings.ints(items.map(\.worth))
        }
        static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
    }

    private func writer(
        _ pool: PostgresPool, maxBatch: Int = 256, maxQueued: Int = 8192, maxInFlight: Int = 1,
        batches: Counter = Counter()
    ) -> CoalescingWriter<Item, Int> {
        CoalescingWriter(
            name: "items", pool: pool, maxBatch: maxBatch, maxQueued: maxQueued, maxInFlight: maxInFlight
        ) { items, transaction in
            batches.add()
            return try transaction.finish(InsertItems(items: items))
        }
    }

    /// Keeps one of the pool's connections until `isOver`.
    private func occupy(
        _ pool: PostgresPool, _ held: Counter, until isOver: @escaping @Sendable () -> Bool
    ) async throws {
        try await pool.transaction { transaction in
            try transaction.execute(BackendID())
            held.add()
            try holdThread(until: isOver)
        }
    }

    @Test(arguments: [1, 3])
    func `many callers are written in few batches, each with its own outcome`(inFlight: Int) async throws {
        try await withFreshPool(Insert.schema) { pool async throws in
            let batches = Counter()
            let writer = writer(pool, maxInFlight: inFlight, batches: batches)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for worker in 0..<256 {
                    group.addTask {
                        for round in 0..<10 {
                            let key = worker * 10 + round
                            if try await writer.submit(Item(key: key)) != key { return false }
                        }
                        return true
                    }
                }
                for try await isOwn in group { #expect(isOwn) }
            }
            #expect(try await pool.execute(Keys()) == Array(0..<2560))
            #expect(batches.value < 1280)
        }
    }

    @Test func `an item the server refuses fails alone`() async throws {
        try await withFreshPool("\(Insert.schema); INSERT INTO item VALUES (50, 0)") { pool async throws in
            let writer = writer(pool)
            let errors = await withTaskGroup(of: (Int, PostgresError.Code?).self) { group in
                for key in 0..<100 {
                    group.addTask {
                        let item = Item(key: key, worth: key == 77 ? -1 : 0)
                        return (key, await failure { try await writer.submit(item) }?.code)
                    }
                }
                return await group.reduce(into: [Int: PostgresError.Code]()) { $0[$1.0] = $1.1 }
            }
            #expect(errors == [50: .constraintViolation, 77: .constraintViolation])
            #expect(try await pool.execute(Keys()) == (0..<100).filter { $0 != 77 })
        }
    }

    @Test func `of items written together only those fail that somebody's lock stands in the way of`() async throws {
        let adjust: (inout PostgresConfiguration) -> Void = { configuration in
            configuration.maxConnections = 2
            configuration.lockTimeout = .milliseconds(200)
        }
        try await withFreshPool(Insert.schema, adjust) { pool async throws in
            let writer = CoalescingWriter<Item, Int>(name: "items", pool: pool, apart: { "\($0.key % 2)" }) {
                items, transaction in
                try transaction.finish(InsertItems(items: items))
            }
            let (held, released, occupied, begun) = (Counter(), Counter(), Counter(), Counter())
            // Whoever inserts the key as well waits for the end of this.
            async let holder = failure {
                try await pool.transaction { transaction in
                    try transaction.execute(InsertItems(items: [Item(key: 1)]))
                    held.add()
                    try holdThread { released.value > 0 }
                    throw PostgresError(.cancelled, "It is rolled back.")
                }
            }
            defer { released.add() }
            #expect(try await eventually { held.value == 1 })
            // All of them wait for the other connection before any is written.
            async let busy: Void = occupy(pool, occupied) { begun.value >= 4 }
            defer { begun.add(4) }
            #expect(try await eventually { occupied.value == 1 })
            let locked = await withTaskGroup(of: (Int, Bool?).self) { group in
                for key in 1...4 {
                    group.addTask {
                        begun.add()
                        return (key, await failure { try await writer.submit(Item(key: key)) }?.isLockTimeout)
                    }
                }
                return await group.reduce(into: [Int: Bool]()) { $0[$1.0] = $1.1 }
            }
            #expect(locked == [1: true, 3: true])
            released.add()
            #expect(await holder?.code == .cancelled)
            try await busy
            #expect(try await pool.execute(Keys()) == [2, 4])
        }
    }

    @Test func `a lock that an earlier batch keeps until its slow end fails nobody`() async throws {
        struct LockItems: PostgresStatement {
            typealias Row = Void
            static let sql = "LOCK TABLE item IN EXCLUSIVE MODE"
        }
        try await withFreshPool(Insert.schema, { $0.lockTimeout = .milliseconds(100) }) { pool async throws in
            let (held, attempts, released) = (Counter(), Counter(), Counter())
            let writer = CoalescingWriter<Item, Int>(
                name: "items", pool: pool, maxInFlight: 2, minBeside: 4, apart: { "\($0.key)" }
            ) { items, transaction in
                attempts.add()
                try transaction.execute(LockItems())
                if held.add() == 1 {
                    try holdThread { released.value > 0 }
                }
                return try transaction.finish(InsertItems(items: items))
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try await writer.submit(Item(key: 0)) }
                #expect(try await eventually { held.value == 1 })
                for key in 1...4 { group.addTask { _ = try await writer.submit(Item(key: key)) } }
                // The second batch has waited in vain more than once.
                #expect(try await eventually { attempts.value >= 4 })
                released.add()
                try await group.waitForAll()
            }
            #expect(try await pool.execute(Keys()) == Array(0...4))
        }
    }

    @Test func `more items than the bound are refused at once`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool async throws in
            let writer = writer(pool, maxQueued: 10)
            let (held, refused) = (Counter(), Counter())
            async let busy: Void = occupy(pool, held) { refused.value >= 20 }
            defer { refused.add(20) }
            #expect(try await eventually { held.value == 1 })
            let codes = await withTaskGroup(of: PostgresError.Code?.self) { group in
                for key in 0..<30 {
                    group.addTask {
                        let code = await failure { try await writer.submit(Item(key: key)) }?.code
                        if code == .overloaded { refused.add() }
                        return code
                    }
                }
                return await group.reduce(into: [PostgresError.Code?]()) { $0.append($1) }
            }
            #expect(codes.count { $0 == .overloaded } == 20)
            #expect(codes.count { $0 == nil } == 10)
            refused.add(20)
            try await busy
        }
    }

    @Test func `no batch is larger than its bound`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool async throws in
            let largest = Mutex(0)
            let writer = CoalescingWriter<Item, Int>(name: "items", pool: pool, maxBatch: 8) { items, transaction in
                largest.withLock { $0 = max($0, items.count) }
                return try transaction.finish(InsertItems(items: items))
            }
            let (held, begun) = (Counter(), Counter())
            async let busy: Void = occupy(pool, held) { begun.value >= 50 }
            defer { begun.add(50) }
            #expect(try await eventually { held.value == 1 })
            await withTaskGroup(of: Void.self) { group in
                for key in 0..<50 {
                    group.addTask {
                        begun.add()
                        _ = await failure { try await writer.submit(Item(key: key)) }
                    }
                }
            }
            try await busy
            #expect(largest.withLock { $0 } == 8)
            #expect(try await pool.execute(Keys()).count == 50)
        }
    }

    @Test func `a second batch is written beside another only when enough wait`() async throws {
        try await withFreshPool(Insert.schema) { pool async throws in
            let (started, released) = (Counter(), Counter())
            let sizes = Mutex<[Int]>([])
            let writer = CoalescingWriter<Item, Int>(name: "items", pool: pool, maxInFlight: 2, minBeside: 4) {
                items, transaction in
                sizes.withLock { $0.append(items.count) }
                started.add()
                try holdThread { released.value > 0 }
                return try transaction.finish(InsertItems(items: items))
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try await writer.submit(Item(key: 0)) }
                #expect(try await eventually { started.value == 1 })
                for key in 1...4 { group.addTask { _ = try await writer.submit(Item(key: key)) } }
                #expect(try await eventually { started.value == 2 })
                released.add()
                try await group.waitForAll()
            }
            #expect(sizes.withLock { $0 } == [1, 4])
            // And what is too little to go beside another goes after it.
            #expect(try await writer.submit(Item(key: 5)) == 5)
        }
    }

    @Test func `a serialization failure is tried again, a bounded number of times`() async throws {
        struct Fail: PostgresStatement {
            typealias Row = Void
            static let sql = "DO $$ BEGIN RAISE EXCEPTION 'crossed' USING ERRCODE = '40001'; END $$"
        }
        try await withFreshPool(Insert.schema) { pool async throws in
            let attempts = Counter()
            let writer = CoalescingWriter<Item, Int>(name: "items", pool: pool) { items, transaction in
                let attempt = attempts.add()
                if items.contains(where: { $0.key < 0 }) || attempt < 3 { try transaction.execute(Fail()) }
                return try transaction.finish(InsertItems(items: items))
            }
            #expect(try await writer.submit(Item(key: 1)) == 1)
            #expect(attempts.value == 3)
            let hopeless = await failure { try await writer.submit(Item(key: -1)) }
            #expect(hopeless?.code == .serializationFailure)
            #expect(attempts.value == 7)
        }
    }

    @Test func `a connection lost before COMMIT runs the batch again once`() async throws {
        try await withFreshPool(Insert.schema) { pool async throws in
            let attempts = Counter()
            let writer = CoalescingWriter<Item, Int>(name: "items", pool: pool) { items, transaction in
                let session = try transaction.execute(BackendID()).first ?? 0
                let isLost = attempts.add() == 1 || items.contains { $0.key < 0 }
                if isLost { try transaction.execute(EndSession(session: session)) }
                return try transaction.finish(InsertItems(items: items))
            }
            #expect(try await writer.submit(Item(key: 1)) == 1)
            #expect(attempts.value == 2)
            let twice = await failure { try await writer.submit(Item(key: -1)) }
            #expect(twice?.code == .connectionLost)
            #expect(attempts.value == 4)
            #expect(try await pool.execute(Keys()) == [1])
        }
    }

    @Test func `outcomes that do not match the items keep nothing`() async throws {
        try await withFreshPool(Insert.schema) { pool async throws in
            let writer = CoalescingWriter<Item, Int>(name: "items", pool: pool) { items, transaction in
                try transaction.execute(InsertItems(items: items)) + [0]
            }
            #expect(await failure { try await writer.submit(Item(key: 1)) }?.code == .decoding)
            #expect(try await pool.execute(Keys()) == [])
        }
    }

    @Test func `an item is taken back while it is queued`() async throws {
        try await withFreshPool(Insert.schema, { $0.maxConnections = 1 }) { pool async throws in
            let writer = writer(pool)
            let (held, released) = (Counter(), Counter())
            async let busy: Void = occupy(pool, held) { released.value > 0 }
            defer { released.add() }
            #expect(try await eventually { held.value == 1 })
            await withTaskGroup(of: PostgresError.Code?.self) { group in
                group.addTask { await failure { try await writer.submit(Item(key: 1)) }?.code }
                group.cancelAll()
                #expect(await group.next() == .cancelled)
            }
            released.add()
            #expect(try await writer.submit(Item(key: 2)) == 2)
            try await busy
            #expect(try await pool.execute(Keys()) == [2])
        }
    }

    @Test func `shutdown waits for what is being written and refuses the rest`() async throws {
        try await withFreshPool(Insert.schema) { pool async throws in
            let started = Counter()
            let released = Counter()
            let writer = CoalescingWriter<Item, Int>(name: "items", pool: pool) { items, transaction in
                started.add()
                try holdThread { released.value > 0 }
                return try transaction.finish(InsertItems(items: items))
            }
            async let accepted = writer.submit(Item(key: 1))
            #expect(try await eventually { started.value == 1 })
            async let closing: Void = writer.shutdown()
            // A cancelled call takes its item back as long as the writer still takes any.
            let isClosed = try await eventually {
                await withTaskGroup(of: PostgresError.Code?.self) { group in
                    group.addTask { await failure { try await writer.submit(Item(key: 2)) }?.code }
                    group.cancelAll()
                    return await group.next() == .closed
                }
            }
            #expect(isClosed)
            released.add()
            #expect(try await accepted == 1)
            await closing
        }
    }

    @Test func `items fail with the pool's reason when there is no database`() async throws {
        let target = "host=127.0.0.1 port=\(freePort())"
        try await withPool(target, { $0.acquireTimeout = .milliseconds(200) }) { pool async throws in
            let writer = writer(pool)
            let codes = await withTaskGroup(of: PostgresError.Code?.self) { group in
                for key in 0..<20 { group.addTask { await failure { try await writer.submit(Item(key: key)) }?.code } }
                return await group.reduce(into: Set<PostgresError.Code?>()) { $0.insert($1) }
            }
            #expect(codes == [.connectFailed])
            await writer.shutdown()
        }
    }
}

/// Ends the given session; when it is its own, the answer is the farewell.
struct EndSession: PostgresStatement {
    static let sql = "SELECT pg_terminate_backend($1::int)"
    let session: Int
    func bind(to bindings: inout PostgresBindings) { bindings.int32(Int32(truncatingIfNeeded: session)) }
    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
}
