internal import CLibPQ
internal import Glibc

// What dedicated connections (listener, session lock) do besides calls.
extension PostgresConnection {
    /// Subscribes to the channels. Names are quoted, so any name is a name.
    func listen(to channels: [String]) throws(PostgresError) {
        var sql = ""
        for channel in channels {
            guard let quoted = unsafe PQescapeIdentifier(raw, channel, channel.utf8.count) else {
                throw lost(libraryMessage())
            }
            defer { unsafe PQfreemem(quoted) }
            sql += unsafe "LISTEN " + String(cString: quoted) + ";"
        }
        let text = sql
        let result = serve(within: configuration.statementTimeout) { _ in
            true
        } _: {
            outsidePipeline(text)
        }
        try result?.get()
    }

    /// The messages received so far.
    func takeNotifications() -> [PostgresNotification] {
        var messages: [PostgresNotification] = []
        while let notify = unsafe PQnotifies(raw) {
            defer { unsafe PQfreemem(notify) }
            let (channel, payload) = unsafe (notify.pointee.relname, notify.pointee.extra)
            guard let channel = unsafe channel, let payload = unsafe payload else { continue }
            unsafe messages.append(.message(channel: String(cString: channel), payload: String(cString: payload)))
        }
        return messages
    }

    /// Reads what has arrived.
    ///
    /// - Throws: `connectionLost`.
    func receive() throws(PostgresError) {
        guard unsafe PQconsumeInput(raw) == 1, unsafe PQstatus(raw) == CONNECTION_OK else {
            throw lost(libraryMessage())
        }
    }

    /// Asks the server whether it is still there.
    func heartbeat(within limit: Duration) throws(PostgresError) {
        try call(Heartbeat(), within: limit)
    }

    /// One statement of the driver's own.
    func call<S: PostgresStatement>(_ statement: S, within limit: Duration) throws(PostgresError) where S.Row == Void {
        let result = serve(within: limit) { _ in
            true
        } _: {
            execute(statement)
        }
        _ = try result?.get()
    }
}

private struct Heartbeat: PostgresStatement {
    typealias Row = Void
    static let sql = "SELECT 1"
    static let isReadOnly = true
}
