internal import CLibPQ

/// One libpq result, freed once.
@safe struct QueryResult: ~Copyable {
    private let raw: OpaquePointer

    init(_ raw: OpaquePointer) {
        unsafe self.raw = unsafe raw
    }

    deinit { unsafe PQclear(raw) }

    private var status: ExecStatusType { unsafe PQresultStatus(raw) }

    /// The end of a pipeline's round trip.
    var isSync: Bool { status == PGRES_PIPELINE_SYNC }

    /// Not run, because a step before it failed.
    var isSkipped: Bool { status == PGRES_PIPELINE_ABORTED }

    var isFailure: Bool {
        switch status {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY, PGRES_PIPELINE_SYNC: false
        default: true
        }
    }

    /// The command tag, such as `COMMIT` or `INSERT 0 3`.
    var command: String {
        guard let text = unsafe PQcmdStatus(raw) else { return "" }
        return unsafe String(cString: text)
    }

    /// The server's error; nil when it is libpq's own (it has no SQLSTATE).
    func failure(interruption: Interruption.Reason?) -> PostgresError? {
        if status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH {
            return PostgresError(.sql, "COPY is not supported. Use a statement with array parameters.")
        }
        guard let state = field(UnicodeScalar("C")) else { return nil }
        let code = SQLState.code(state, interruption: interruption)
        let message = field(UnicodeScalar("M"))
        return PostgresError(
            code, "The server refused: \(message ?? "no message"). \(SQLState.advice(code))",
            sqlState: state, constraint: field(UnicodeScalar("n")), detail: field(UnicodeScalar("D")),
            serverMessage: message
        )
    }

    func rows<S: PostgresStatement>(of type: S.Type) throws(PostgresError) -> [S.Row] {
        let count = unsafe PQntuples(raw)
        var rows: [S.Row] = []
        rows.reserveCapacity(Int(count))
        for index in 0..<count {
            rows.append(try S.row(unsafe PostgresRow(result: raw, index: index)))
        }
        return rows
    }

    /// A field of the server's error message, by its letter (libpq's `PG_DIAG_…`).
    private func field(_ letter: UnicodeScalar) -> String? {
        guard let text = unsafe PQresultErrorField(raw, Int32(letter.value)) else { return nil }
        return unsafe String(cString: text)
    }
}
