internal import CLibPQ
internal import Glibc

// What one call does on a connection. Each is used inside `serve`.
extension PostgresConnection {
    /// One autocommit statement: one round trip.
    func execute<S: PostgresStatement>(_ statement: S) -> Result<[S.Row], PostgresError> {
        phase = .autocommit(readOnly: S.isReadOnly)
        do throws(PostgresError) {
            return .success(try run(statement, followedByCommit: false))
        } catch {
            guard SQLState.asksForNewPlan(error.sqlState), isUsable else { return .failure(error) }
        }
        // The tables have changed since the statement was prepared. It was refused before it ran, so it may run again.
        prepared[ObjectIdentifier(S.self)] = nil
        do throws(PostgresError) {
            return .success(try run(statement, followedByCommit: false))
        } catch {
            return .failure(error)
        }
    }

    /// One transaction. BEGIN travels with its first statement.
    func transact<R>(
        _ isolation: PostgresIsolation, _ body: (borrowing PostgresTransaction) throws -> R
    ) -> Result<R, any Error> {
        phase = .unstarted(isolation)
        do {
            let value = try body(PostgresTransaction(self))
            try commit()
            return .success(value)
        } catch {
            rollBack()
            return .failure(error)
        }
    }

    /// One statement of the transaction in progress, or an autocommit one.
    func run<S: PostgresStatement>(_ statement: S, followedByCommit: Bool) throws(PostgresError) -> [S.Row] {
        try queueInPhase(statement, followedByCommit: followedByCommit)
        let start = ContinuousClock.now
        let rows: [S.Row]
        do throws(PostgresError) {
            let result = try exchange()
            rows = try Self.rows(of: S.self, in: result)
        } catch {
            configuration.observer?(S.name, ContinuousClock.now - start, false)
            if SQLState.asksForNewPlan(error.sqlState) { prepared[ObjectIdentifier(S.self)] = nil }
            throw error
        }
        configuration.observer?(S.name, ContinuousClock.now - start, true)
        return rows
    }

    /// Two statements of the transaction in progress in one round trip.
    func run<First: PostgresStatement, Second: PostgresStatement>(
        _ first: First, _ second: Second
    ) throws(PostgresError) -> ([First.Row], [Second.Row]) {
        var rows: [First.Row] = []
        let step = Step.answered { (result: borrowing QueryResult) throws(PostgresError) in
            rows = try result.rows(of: First.self)
        }
        try queueInPhase(first, as: step, followedByCommit: false)
        let others = try run(second, followedByCommit: false)
        return (rows, others)
    }

    /// Queues a statement, with BEGIN before it where the transaction has not started.
    func queueInPhase<S: PostgresStatement>(
        _ statement: S, as step: Step = .statement, followedByCommit: Bool
    ) throws(PostgresError) {
        try checkPhase()
        try bind(statement)
        if case .unstarted(let isolation) = phase, steps.isEmpty { try queue(.begin, isolation.begin) }
        try queuePlanning(S.planning)
        try queueBound(S.self, as: step)
        if followedByCommit { try queue(.commit, "COMMIT") }
    }

    private func checkPhase() throws(PostgresError) {
        if let reason = interruption.reason {
            throw PostgresError(
                reason.code, "The call was stopped between two statements. \(SQLState.advice(reason.code))"
            )
        }
        switch phase {
        case .autocommit, .unstarted, .open: return
        case .failed: throw ignoredFailure()
        case .finished:
            throw PostgresError(.closed, "The transaction has finished; a statement after that was not sent.")
        }
    }

    private func commit() throws(PostgresError) {
        switch phase {
        case .autocommit, .finished: return
        case .failed: throw ignoredFailure()
        case .unstarted where steps.isEmpty: return
        case .unstarted, .open:
            if let reason = interruption.reason {
                throw PostgresError(reason.code, "The call was stopped before COMMIT. \(SQLState.advice(reason.code))")
            }
            try queue(.commit, "COMMIT")
            _ = try exchange()
        }
    }

    /// Leaves the connection idle, or gives it up.
    private func rollBack() {
        settle()
        planning = nil
        let isIdle = unsafe PQtransactionStatus(raw) == PQTRANS_IDLE
        guard isUsable, !(isIdle && steps.isEmpty) else { return }
        callDeadline = max(callDeadline, ContinuousClock.now + configuration.cancelGrace)
        do throws(PostgresError) {
            try queue(.rollback, "ROLLBACK")
            _ = try exchange()
        } catch {
            // The transaction's own error is the one to report; the server rolls back when the connection ends.
            giveUp()
        }
    }

    private static func rows<S: PostgresStatement>(
        of type: S.Type, in result: consuming QueryResult?
    ) throws(PostgresError) -> [S.Row] {
        guard let result else { return [] }
        return try result.rows(of: S.self)
    }

    /// Several statements in the simple protocol. The connection is given up afterwards, because a script may have
    /// changed its settings.
    func script(_ sql: String) -> Result<Void, PostgresError> {
        phase = .autocommit(readOnly: false)
        defer { giveUp() }
        do throws(PostgresError) {
            guard unsafe PQexitPipelineMode(raw) == 1 else { throw lost(libraryMessage()) }
            try simple("SET statement_timeout = 0; SET lock_timeout = 0")
            try simple(sql)
            guard unsafe PQtransactionStatus(raw) == PQTRANS_IDLE else {
                throw PostgresError(.sql, "The script left a transaction open. It was rolled back; end it with COMMIT.")
            }
            return .success(())
        } catch {
            return .failure(error)
        }
    }

    /// Statements in the simple protocol on a connection that stays in use.
    func outsidePipeline(_ sql: String) -> Result<Void, PostgresError> {
        phase = .autocommit(readOnly: true)
        do throws(PostgresError) {
            guard unsafe PQexitPipelineMode(raw) == 1 else { throw lost(libraryMessage()) }
            try simple(sql)
            guard unsafe PQenterPipelineMode(raw) == 1 else { throw lost(libraryMessage()) }
            return .success(())
        } catch {
            giveUp()
            return .failure(error)
        }
    }

    private func simple(_ sql: String) throws(PostgresError) {
        isInFlight = true
        defer { isInFlight = false }
        deadline = callDeadline
        guard unsafe PQsendQuery(raw, sql) == 1 else { throw lost(libraryMessage()) }
        try flush()
        var failure: PostgresError?
        while let result = try nextResult() {
            let next = try self.failure(of: result)
            if failure == nil { failure = next }
            if let next, next.sqlState == nil { throw next }
        }
        if let failure { throw failure }
    }
}
