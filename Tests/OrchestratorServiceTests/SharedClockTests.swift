import Foundation
import Logging
import Postgres
import Storage
import Synchronization
import TestSupport
import Testing

@testable import OrchestratorService

/// A real database whose clock the test sets: what `clock_timestamp()` finds there first is the test's own function.
@Suite(.timeLimit(.minutes(3))) struct `The clock that replicas share` {
    @Test func `the database's time counts, however far this machine's is away, and people hear once`() async throws {
        try await ClockUnderTest.run(ahead: "2 hours") { test in
            #expect(abs(test.clock.now.timeIntervalSinceNow) < 60, "before the first reading it is this machine's")
            try await test.wait { abs(test.clock.now.timeIntervalSinceNow - 7200) < 60 }
            let first = test.clock.now
            try await test.wait { test.clock.now > first }
            // It is read again, and not told again.
            try await test.readings(atLeast: 3)
            #expect(test.warnings == 1)
            // A clock that is set right over there is followed.
            try await test.sql("UPDATE skew SET ahead = '-30 minutes'")
            try await test.wait { abs(test.clock.now.timeIntervalSinceNow + 1800) < 60 }
        }
    }

    @Test func `a reading that took long is not believed`() async throws {
        try await ClockUnderTest.run(ahead: "2 hours", answersAfter: 1.5) { test in
            // The third has begun, so the first two are over.
            try await test.readings(atLeast: 3)
            #expect(abs(test.clock.now.timeIntervalSinceNow) < 60)
            try await test.sql("UPDATE skew SET wait = 0")
            try await test.wait { abs(test.clock.now.timeIntervalSinceNow - 7200) < 60 }
        }
    }

    @Test func `without a database the time goes on from the last reading`() async throws {
        try await ClockUnderTest.run(ahead: "2 hours") { test in
            try await test.wait { abs(test.clock.now.timeIntervalSinceNow - 7200) < 60 }
            try await test.sql("DROP TABLE skew")
            try await test.readings(atLeast: 3)
            let now = test.clock.now
            #expect(abs(now.timeIntervalSinceNow - 7200) < 60)
            try await test.wait { test.clock.now > now }
        }
    }
}

private struct ClockUnderTest: Sendable {
    let server: TestPostgres
    let database: String
    let clock: SharedClock
    let log: CountingLog

    var warnings: Int { log.warnings.withLock { $0 } }

    /// - Parameters:
    ///   - ahead: how far the database's clock is ahead, an interval.
    ///   - answersAfter: seconds that it takes to say what time it is.
    static func run(
        ahead: String, answersAfter: Double = 0, _ body: (ClockUnderTest) async throws -> Void
    ) async throws {
        let server = try await TestPostgres.shared()
        let database = try await server.freshDatabase()
        try await server.sql(
            """
            CREATE TABLE skew AS SELECT interval '\(ahead)' AS ahead, \(answersAfter)::float AS wait;
            CREATE SEQUENCE readings;
            CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $body$
            BEGIN
                PERFORM nextval('readings');
                PERFORM pg_sleep((SELECT wait FROM skew));
                RETURN pg_catalog.clock_timestamp() + (SELECT ahead FROM skew);
            END
            $body$;
            ALTER DATABASE \(database) SET search_path = public, pg_catalog;
            """, database: database)
        let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let pool = PostgresPool(
            PostgresConfiguration(
                connectionString: server.connectionString(database: database), applicationName: "clock-tests"),
            logger: quiet)
        let log = CountingLog()
        let clock = SharedClock(
            store: ReconciliationStore(pool: pool),
            logger: Logger(label: "clock") { _ in CountingLog.Handler(log: log) })
        let test = ClockUnderTest(server: server, database: database, clock: clock, log: log)
        async let serving: Void = pool.run()
        let reading = Task { try await clock.run() }
        var failure: (any Error)?
        do { try await body(test) } catch { failure = error }
        reading.cancel()
        await #expect(throws: CancellationError.self) { try await reading.value }
        await pool.shutdown(within: .seconds(5))
        try await serving
        if let failure { throw failure }
    }

    @discardableResult
    func sql(_ text: String) async throws -> String { try await server.sql(text, database: database) }

    func wait(_ condition: () -> Bool) async throws {
        let limit = ContinuousClock.now + .seconds(60)
        while !condition() {
            guard ContinuousClock.now < limit else {
                Issue.record("It was waited for in vain.")
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Returns when so many readings have begun from now on.
    func readings(atLeast count: Int) async throws {
        let count = count + (try await begun())
        let limit = ContinuousClock.now + .seconds(90)
        while try await begun() < count {
            guard ContinuousClock.now < limit else {
                Issue.record("The database was not asked again.")
                return
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    private func begun() async throws -> Int {
        Int(try await sql("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM readings")) ?? 0
    }
}

private final class CountingLog: Sendable {
    let warnings = Mutex(0)

    struct Handler: LogHandler {
        let log: CountingLog
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .debug

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            if event.level == .warning { log.warnings.withLock { $0 += 1 } }
        }
    }
}
