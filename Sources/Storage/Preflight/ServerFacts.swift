package import Postgres

/// What the database server says of itself and of the user that asks.
package struct ServerFacts: Sendable, Equatable {
    package let user: String
    /// `TLSv1.3`; nil for a plain connection.
    package let tls: String?
    package let isSuperuser: Bool
    package let mayCreateDatabases: Bool
    package let mayCreateRoles: Bool
    package let mayReplicate: Bool
    package let bypassesRowSecurity: Bool
    package let isReplica: Bool
    /// 15.4 is 150004.
    package let version: Int
    package let connectionsMax: Int
    /// Those that only superusers get.
    package let connectionsReserved: Int
    package let synchronousCommit: String
    /// -1 for never.
    package let slowQueryMilliseconds: Int
}

/// What protects a table whose rows are never changed.
package struct AppendOnlyFacts: Sendable, Equatable {
    package let table: String
    package let exists: Bool
    /// Whether the user that asks has a grant to update, delete or truncate.
    package let isGranted: Bool
    /// Whether an enabled trigger refuses all three.
    package let isGuarded: Bool
}

/// Looks at a database before a release. Reads only.
package struct ServerFactsStore: Sendable {
    /// Every table that a migration made append-only, by a trigger of `refuse_change`.
    package static let appendOnlyTables = [
        "audit_log", "budget_transactions", "peer_votes", "prompt_activations", "prompt_reviews", "release_evidence",
        "release_lineage", "task_events", "workflows",
    ]

    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    package func server() async throws -> ServerFacts {
        guard let facts = try await pool.execute(ReadServerFacts()).first else {
            throw PostgresError(.decoding, "The database does not know the user that asks.")
        }
        return facts
    }

    package func appendOnly(_ tables: [String] = appendOnlyTables) async throws -> [AppendOnlyFacts] {
        try await pool.execute(ReadAppendOnlyFacts(tables: tables))
    }
}

/// The server's settings as the user that asks has them: a role and a database may have their own.
struct ReadServerFacts: PostgresStatement {
    static let sql = """
        SELECT r.rolname::text, CASE WHEN s.ssl THEN s.version END, r.rolsuper, r.rolcreatedb, r.rolcreaterole,
            r.rolreplication, r.rolbypassrls, pg_is_in_recovery(), current_setting('server_version_num')::int,
            current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,
            current_setting('synchronous_commit'),
            (SELECT setting::int FROM pg_settings WHERE name = 'log_min_duration_statement')
        FROM pg_roles r LEFT JOIN pg_stat_ssl s ON s.pid = pg_backend_pid()
        WHERE r.rolname = current_user
        """
    static let isReadOnly = true

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> ServerFacts {
        ServerFacts(
            user: try row.text(0), tls: try row.textOrNil(1), isSuperuser: try row.bool(2),
            mayCreateDatabases: try row.bool(3), mayCreateRoles: try row.bool(4), mayReplicate: try row.bool(5),
            bypassesRowSecurity: try row.bool(6), isReplica: try row.bool(7), version: try row.int(8),
            connectionsMax: try row.int(9), connectionsReserved: try row.int(10),
            synchronousCommit: try row.text(11), slowQueryMilliseconds: try row.int(12))
    }
}

/// `tgtype` says what a trigger is asked about: 8 for DELETE, 16 for UPDATE, 32 for TRUNCATE. `tgenabled` is `O` or `A`
/// for one that fires in an ordinary session.
struct ReadAppendOnlyFacts: PostgresStatement {
    let tables: [String]

    static let sql = """
        SELECT wanted.name, t.oid IS NOT NULL,
            t.oid IS NOT NULL AND (has_table_privilege(t.oid, 'UPDATE') OR has_table_privilege(t.oid, 'DELETE')
                OR has_table_privilege(t.oid, 'TRUNCATE')),
            EXISTS (
                SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
                WHERE g.tgrelid = t.oid AND p.proname = 'refuse_change' AND g.tgenabled IN ('O', 'A')
                    AND g.tgtype & 56 = 56)
        FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, place)
        LEFT JOIN pg_class t ON t.oid = to_regclass(wanted.name) AND t.relkind IN ('r', 'p')
        ORDER BY wanted.place
        """
    static let isReadOnly = true

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(tables)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> AppendOnlyFacts {
        AppendOnlyFacts(
            table: try row.text(0), exists: try row.bool(1), isGranted: try row.bool(2), isGuarded: try row.bool(3))
    }
}
