import Foundation
import Postgres
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct PostgresListenerTests {
    struct Notify: PostgresStatement {
        typealias Row = Void
        static let sql = "SELECT pg_notify($1::text, $2::text)"
        let channel: String
        let payload: String
        func bind(to bindings: inout PostgresBindings) {
            bindings.text(channel)
            bindings.text(payload)
        }
    }

    @Test func `a reader is told to read first, then hears each message`() async throws {
        let server = try await TestPostgres.shared()
        let target = server.connectionString(database: try await server.freshDatabase())
        try await withPool(target) { pool in
            try await withListener(target, ["tasks", "Odd \"name\""]) { listener in
                var reader = listener.notifications().makeAsyncIterator()
                #expect(await reader.next() == .reconnected)
                try await pool.execute(Notify(channel: "tasks", payload: "1"))
                #expect(await reader.next() == .message(channel: "tasks", payload: "1"))
                try await pool.execute(Notify(channel: "Odd \"name\"", payload: "ü"))
                #expect(await reader.next() == .message(channel: "Odd \"name\"", payload: "ü"))
                var second = listener.notifications().makeAsyncIterator()
                #expect(await second.next() == .reconnected)
            }
        }
    }

    @Test func `equal messages that are not read yet are one, and too many become one reread`() async throws {
        let server = try await TestPostgres.shared()
        let target = server.connectionString(database: try await server.freshDatabase())
        try await withPool(target) { pool in
            try await withListener(target, ["tasks"]) { listener in
                var reader = listener.notifications().makeAsyncIterator()
                var other = listener.notifications().makeAsyncIterator()
                #expect(await reader.next() == .reconnected)
                #expect(await other.next() == .reconnected)
                for _ in 0..<3 { try await pool.execute(Notify(channel: "tasks", payload: "same")) }
                try await pool.execute(Notify(channel: "tasks", payload: "last"))
                // The other reader has seen the last message, so all of them have arrived.
                while let next = await other.next(), next != .message(channel: "tasks", payload: "last") {}
                #expect(await reader.next() == .message(channel: "tasks", payload: "same"))
                #expect(await reader.next() == .message(channel: "tasks", payload: "last"))
                try await pool.script("SELECT pg_notify('tasks', n::text) FROM generate_series(1, 2000) AS n")
                try await pool.execute(Notify(channel: "tasks", payload: "end"))
                while let next = await other.next(), next != .message(channel: "tasks", payload: "end") {}
                #expect(await reader.next() == .reconnected)
            }
        }
    }

    @Test func `after a restart of the server the reader is told to read again and hears on`() async throws {
        let server = try await TestPostgres.started()
        let target = server.connectionString()
        try await withPool(target) { pool in
            try await withListener(target, ["tasks"]) { listener in
                var reader = listener.notifications().makeAsyncIterator()
                #expect(await reader.next() == .reconnected)
                try await server.crash()
                try await server.start()
                #expect(await reader.next() == .reconnected)
                _ = try await eventually { (try? await pool.execute(Notify(channel: "tasks", payload: "new"))) != nil }
                #expect(await reader.next() == .message(channel: "tasks", payload: "new"))
            }
        }
    }

    @Test func `streams end with the listener`() async throws {
        let server = try await TestPostgres.shared()
        let listener = try await withListener(server.connectionString(), ["tasks"]) { listener in
            var reader = listener.notifications().makeAsyncIterator()
            #expect(await reader.next() == .reconnected)
            return listener
        }
        var late = listener.notifications().makeAsyncIterator()
        #expect(await late.next() == nil)
        await #expect(throws: PostgresError.self) { try await listener.run() }
    }

    /// Runs a listener around `body` and ends it afterwards by cancelling its task.
    private func withListener<R: Sendable>(
        _ target: String, _ channels: [String], _ body: (PostgresListener) async throws -> R
    ) async throws -> R {
        let configuration = PostgresConfiguration(connectionString: target, applicationName: "test")
        let listener = PostgresListener(configuration, channels: channels, logger: logger)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            let result = try await body(listener)
            group.cancelAll()
            try await group.waitForAll()
            return result
        }
    }
}
