/// How a transaction sees others' commits (Postgres manual, chapter 13.2).
package enum PostgresIsolation: Sendable, Hashable {
    case readCommitted
    case repeatableRead
    case serializable

    var begin: String {
        switch self {
        case .readCommitted: "BEGIN ISOLATION LEVEL READ COMMITTED"
        case .repeatableRead: "BEGIN ISOLATION LEVEL REPEATABLE READ"
        case .serializable: "BEGIN ISOLATION LEVEL SERIALIZABLE"
        }
    }
}

/// A transaction in progress, valid only inside the closure it is handed to, on the connection's own thread.
///
/// BEGIN costs no round trip of its own. After an error nothing more can be sent: let the error leave the closure and
/// the transaction is rolled back.
@safe package struct PostgresTransaction: ~Copyable {
    private let connection: PostgresConnection

    init(_ connection: PostgresConnection) {
        self.connection = connection
    }

    /// Runs a statement and everything enqueued before it: one round trip.
    @discardableResult
    package borrowing func execute<S: PostgresStatement>(_ statement: S) throws(PostgresError) -> [S.Row] {
        try connection.run(statement, followedByCommit: false)
    }

    /// Runs two statements, the first one first: one round trip.
    package borrowing func execute<First: PostgresStatement, Second: PostgresStatement>(
        _ first: First, _ second: Second
    ) throws(PostgresError) -> ([First.Row], [Second.Row]) {
        try connection.run(first, second)
    }

    /// Sends a statement without waiting for it: it travels with the next `execute`, `finish` or the COMMIT, and its
    /// error is thrown there.
    package borrowing func enqueue<S: PostgresStatement>(_ statement: S) throws(PostgresError) where S.Row == Void {
        try connection.queueInPhase(statement, followedByCommit: false)
    }

    /// Runs the last statement and commits, in one round trip. Nothing can be executed after it.
    ///
    /// Rows are decoded after the commit: a `decoding` error here does not undo it.
    @discardableResult
    package borrowing func finish<S: PostgresStatement>(_ statement: S) throws(PostgresError) -> [S.Row] {
        try connection.run(statement, followedByCommit: true)
    }
}
