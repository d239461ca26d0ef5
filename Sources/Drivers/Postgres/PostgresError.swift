/// What went wrong with a database call, what it means for the data, and what to do next.
///
/// Messages never hold parameter values, connection strings or passwords. `detail` is the server's own detail line and
/// may quote row values: keep it out of logs and out of answers to clients.
package struct PostgresError: Error, Sendable, CustomStringConvertible {
    /// Stable codes. Only `outcomeUnknown` leaves open whether a write was kept; every other code means it was not.
    package enum Code: String, Sendable, Hashable, CaseIterable {
        /// No server could be reached, or none that `target_session_attrs` accepts.
        case connectFailed = "connect_failed"
        /// A server answered and refused the user, the password, the database's access rule or the certificate.
        case authenticationFailed = "authentication_failed"
        /// The statement ran out of time and was stopped; nothing of it was kept.
        case timeout
        /// The calling task was cancelled; nothing was kept.
        case cancelled
        /// The connection ended before anything could be kept. Calling again is safe.
        case connectionLost = "connection_lost"
        /// The connection ended after COMMIT (or an autocommit statement) was sent: it was kept, or it was not.
        case outcomeUnknown = "outcome_unknown"
        /// All connections stayed busy for the whole acquire timeout; nothing was sent.
        case poolExhausted = "pool_exhausted"
        /// A bounded queue is full; nothing was sent.
        case overloaded
        /// SQLSTATE class 23; `constraint` names which.
        case constraintViolation = "constraint_violation"
        /// SQLSTATE 40001: run the transaction again.
        case serializationFailure = "serialization_failure"
        /// SQLSTATE 40P01: run the transaction again.
        case deadlock
        /// A value the database cannot hold (SQLSTATE class 22), or one refused before it was sent.
        case invalidData = "invalid_data"
        /// Any other refusal by the server; `sqlState` says which.
        case sql
        /// A column did not hold what the statement's `row(_:)` asked for.
        case decoding
        /// The pool, writer or listener has been shut down, or was used out of order.
        case closed
    }

    package let code: Code
    /// What happened, what was kept and what to do next.
    package let message: String
    /// The server's five-character SQLSTATE, when the server answered.
    package let sqlState: String?
    /// The violated constraint's name, when there is one.
    package let constraint: String?
    /// The server's detail line. It may quote row values.
    package let detail: String?
    /// The server's own words, without ours around them: for statements whose refusals are written for people.
    package let serverMessage: String?
    package let underlying: (any Error)?

    package init(
        _ code: Code, _ message: String, sqlState: String? = nil, constraint: String? = nil, detail: String? = nil,
        serverMessage: String? = nil, underlying: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.sqlState = sqlState
        self.constraint = constraint
        self.detail = detail
        self.serverMessage = serverMessage
        self.underlying = underlying
    }

    package var description: String {
        let state = sqlState.map { " (SQLSTATE \($0))" } ?? ""
        return "\(code.rawValue): \(message)\(state)"
    }

    /// True when a lock that somebody holds was not to be had in time; nothing was kept.
    package var isLockTimeout: Bool { sqlState == SQLState.lockNotAvailable }

    /// True when nothing was kept and running the same transaction again may succeed.
    package var isRetryable: Bool {
        switch code {
        case .serializationFailure, .deadlock, .connectionLost, .poolExhausted, .overloaded, .connectFailed: true
        case .authenticationFailed, .timeout, .cancelled, .outcomeUnknown, .constraintViolation, .invalidData, .sql,
            .decoding, .closed:
            false
        }
    }
}
