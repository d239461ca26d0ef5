/// Where the database is and how long anything may take.
///
/// `connectionString` is a libpq keyword string or `postgresql://` URI. It may name several hosts (tried in order, each
/// with `connectTimeout` of its own), `target_session_attrs`, `sslmode`, `sslrootcert` and the rest of libpq's
/// keywords. It holds a secret and never appears in messages or logs.
package struct PostgresConfiguration: Sendable {
    /// Told after each statement, on the connection's thread: the statement's name, the time from sending it to having
    /// its rows, and whether it succeeded. It must return quickly.
    package typealias Observer = @Sendable (_ statement: String, _ duration: Duration, _ succeeded: Bool) -> Void

    package var connectionString: String
    package var applicationName: String
    /// Connections the pool keeps open, each with a thread of its own.
    package var maxConnections = 6
    /// Calls that may wait for a connection; one more is refused as `overloaded`.
    package var maxWaiting = 4096
    /// The largest sum of one statement's parameters; a larger one is refused as `invalidData` before it is sent.
    package var maxParameterBytes = 64 << 20
    /// Per host.
    package var connectTimeout = Duration.seconds(5)
    /// The longest wait for a free connection.
    package var acquireTimeout = Duration.seconds(5)
    /// The longest run of one statement, enforced by the server and, should the server not answer, by the client.
    package var statementTimeout = Duration.seconds(10)
    /// The longest wait for a row or table lock, enforced by the server.
    package var lockTimeout = Duration.seconds(5)
    /// The longest run of one transaction, counted from its start.
    package var transactionTimeout = Duration.seconds(30)
    /// After asking the server to cancel: the wait for its answer before the connection is given up.
    package var cancelGrace = Duration.milliseconds(500)
    /// How long `run()` lets calls finish after its task was cancelled.
    package var shutdownTimeout = Duration.seconds(5)
    package var observer: Observer?

    package init(connectionString: String, applicationName: String) {
        self.connectionString = connectionString
        self.applicationName = applicationName
    }
}
