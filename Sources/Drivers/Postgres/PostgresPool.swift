package import Logging
internal import Synchronization

/// A few connections, each with a thread of its own, and one bounded queue of calls in front of them.
///
/// Calls made before `run()`, or while the database is away, wait for a connection up to `acquireTimeout`. No call
/// blocks a thread of the cooperative pool, and none lasts longer than its timeout plus `cancelGrace`, even when the
/// server stops answering.
package final class PostgresPool: Sendable {
    package let configuration: PostgresConfiguration
    let queue: JobQueue
    let logger: Logger
    private let hasStarted = Mutex(false)

    package init(_ configuration: PostgresConfiguration, logger: Logger) {
        precondition(configuration.maxConnections > 0, "A pool needs at least one connection.")
        precondition(configuration.maxParameterBytes <= 1 << 30, "Postgres takes at most 1 GiB in one message.")
        self.configuration = configuration
        self.logger = logger
        // A stopped call waits out one grace for its statement and one for the cancel request itself.
        queue = JobQueue(capacity: configuration.maxWaiting, grace: configuration.cancelGrace * 2)
    }

    deinit { queue.close(within: .zero) }

    /// Keeps the connections open, reconnecting with backoff, until `shutdown(within:)` is called or the task is
    /// cancelled, which shuts down within `shutdownTimeout`.
    ///
    /// - Throws: `closed` when the pool has run before.
    package func run() async throws {
        let starts = hasStarted.withLock { started in
            defer { started = true }
            return !started
        }
        guard starts else { throw PostgresError(.closed, "A pool runs once; make another.") }
        for number in 1...configuration.maxConnections {
            PoolWorker(queue: queue, configuration: configuration, logger: logger).start(number: number)
        }
        await withTaskCancellationHandler {
            await queue.ended.wait()
        } onCancel: {
            queue.close(within: configuration.shutdownTimeout)
        }
    }

    /// Refuses new calls, lets those accepted finish within `limit`, then stops the rest, each of which gets its error.
    /// Returns at the latest two `cancelGrace` after `limit`, whatever the server does.
    package func shutdown(within limit: Duration) async {
        queue.close(within: limit)
        await queue.ended.wait()
    }

    /// Runs one statement in a transaction of its own: one round trip. When the connection is lost before anything can
    /// have been kept (always so when it `isReadOnly`), it is run again once, on another connection.
    ///
    /// - Parameter timeout: bounds the wait for a connection and the run, each; it can only shorten the configured
    ///   ones.
    /// - Throws: `outcomeUnknown` when the connection ended before the answer and the statement is not `isReadOnly`.
    @discardableResult
    package func execute<S: PostgresStatement>(
        _ statement: S, timeout: Duration? = nil
    ) async throws(PostgresError) -> [S.Row] {
        let limit = min(timeout ?? configuration.statementTimeout, configuration.statementTimeout)
        let acquireDeadline = self.acquireDeadline(timeout)
        let first = await attempt(statement, limit, acquireDeadline)
        // This code says that nothing was kept, so that once more is safe for any statement.
        guard case .failure(let error) = first, error.code == .connectionLost else { return try first.get() }
        return try await attempt(statement, limit, acquireDeadline).get()
    }

    private func attempt<S: PostgresStatement>(
        _ statement: S, _ limit: Duration, _ acquireDeadline: ContinuousClock.Instant
    ) async -> Result<[S.Row], PostgresError> {
        let call = Call(acquireDeadline: acquireDeadline, limit: limit) { connection in
            connection.execute(statement)
        } refusal: {
            .failure($0)
        }
        return await call.outcome(in: queue)
    }

    /// Runs `body` as one transaction, on a connection's own thread. It is synchronous: it may block on statements, and
    /// should do nothing else that takes time. A thrown error rolls back and is rethrown.
    ///
    /// BEGIN travels with the first statement. Ending with `transaction.finish(_:)` saves the round trip of COMMIT.
    ///
    /// - Parameter timeout: bounds the wait for a connection and the run, each; it can only shorten the configured
    ///   ones.
    /// - Throws: `body`'s error, or a `PostgresError`: `connectionLost` when nothing was kept, `outcomeUnknown` when
    ///   the connection ended during COMMIT, `serializationFailure` or `deadlock` when it should be run again.
    @discardableResult
    package func transaction<R: Sendable>(
        isolation: PostgresIsolation = .readCommitted, timeout: Duration? = nil,
        _ body: @escaping @Sendable (borrowing PostgresTransaction) throws -> R
    ) async throws -> R {
        let limit = min(timeout ?? configuration.transactionTimeout, configuration.transactionTimeout)
        let call = Call<Result<R, any Error>>(acquireDeadline: acquireDeadline(timeout), limit: limit) { connection in
            connection.transact(isolation, body)
        } refusal: {
            .failure($0)
        }
        return try await call.outcome(in: queue).get()
    }

    /// Runs several statements, as a migration file holds them, in the simple protocol. Without BEGIN and COMMIT of its
    /// own the script is one transaction. `statementTimeout` and `lockTimeout` do not apply to it.
    ///
    /// - Parameter timeout: bounds the run.
    package func script(_ sql: String, timeout: Duration = .seconds(600)) async throws(PostgresError) {
        let acquireDeadline = acquireDeadline(nil)
        let call = Call<Result<Void, PostgresError>>(acquireDeadline: acquireDeadline, limit: timeout) { connection in
            connection.script(sql)
        } refusal: {
            .failure($0)
        }
        try await call.outcome(in: queue).get()
    }

    func acquireDeadline(_ timeout: Duration?) -> ContinuousClock.Instant {
        .now + min(timeout ?? configuration.acquireTimeout, configuration.acquireTimeout)
    }
}
