internal import Contracts
internal import Postgres

/// Drops reservations that were settled 30 days ago.
struct PurgeReservations: PostgresStatement {
    let limit: Int

    static let sql = """
        WITH purged AS (
            DELETE FROM budget_reservations r USING (
                SELECT tenant_id, project_id, request_id FROM budget_reservations
                WHERE state <> 'pending' AND settled_at < clock_timestamp() - interval '30 days'
                ORDER BY settled_at LIMIT $1 FOR UPDATE SKIP LOCKED
            ) old
            WHERE r.tenant_id = old.tenant_id AND r.project_id = old.project_id AND r.request_id = old.request_id
            RETURNING 1
        )
        SELECT count(*) FROM purged
        """

    func bind(to bindings: inout PostgresBindings) { bindings.int(limit) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}

/// Accounts: one tenant's, in the order of their projects, or everybody's.
struct ListAccounts: PostgresStatement {
    var tenant: TenantID?
    var project: ProjectID?
    var after: ProjectID?
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + AccountRow.columns + """
             FROM budget_limits l
            WHERE ($1::text IS NULL OR l.tenant_id = $1) AND ($2::text IS NULL OR l.project_id = $2)
                AND ($3::text IS NULL OR l.project_id > $3)
            ORDER BY l.tenant_id, l.project_id LIMIT $4
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant?.text)
        bindings.text(project?.text)
        bindings.text(after?.text)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetAccount { try AccountRow.read(row) }
}

/// A page of a tenant's reservations, by project and request id.
struct ListReservations: PostgresStatement {
    let filter: ReservationFilter

    static let isReadOnly = true
    static let sql =
        "SELECT " + ReservationRow.columns + """
             FROM budget_reservations r
            WHERE r.tenant_id = $1 AND ($2::text IS NULL OR r.project_id = $2) AND ($3::text IS NULL OR r.state = $3)
                AND (r.project_id, r.request_id) > ($4::text, $5::text)
            ORDER BY r.project_id, r.request_id LIMIT $6
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(filter.tenant.text)
        bindings.text(filter.project?.text)
        bindings.text(filter.state?.rawValue)
        bindings.text(filter.after?.project.text ?? "")
        bindings.text(filter.after?.request.text ?? "")
        bindings.int(filter.limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Reservation {
        try ReservationRow.entry(row).reservation
    }
}

/// Tells the ledger's triggers, for this transaction, who changes a limit.
struct NamePrincipal: PostgresStatement {
    let principal: String

    static let sql = "SELECT set_config('golden.principal', $1, true)"

    func bind(to bindings: inout PostgresBindings) { bindings.text(principal) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

/// Opens an account, or changes its limit when it is at the expected version. No row: it is not.
struct SetLimit: PostgresStatement {
    let key: BudgetAccount.Key
    let totalLimit: Int
    /// Nil changes any version; 0 opens a new account only.
    let expectedVersion: Int?

    static let sql =
        """
        INSERT INTO budget_limits AS l (tenant_id, project_id, total_limit)
        SELECT $1, $2, $3 WHERE coalesce($4::int8, 0) = 0
            OR EXISTS (SELECT FROM budget_limits e WHERE e.tenant_id = $1 AND e.project_id = $2)
        ON CONFLICT (tenant_id, project_id) DO UPDATE SET total_limit = EXCLUDED.total_limit
            WHERE $4::int8 IS NULL OR l.version = $4
        """ + " RETURNING " + AccountRow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.accountKey(key)
        bindings.int(totalLimit)
        bindings.int(expectedVersion)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetAccount { try AccountRow.read(row) }
}

extension PostgresBindings {
    /// Two texts: tenant_id, project_id.
    fileprivate mutating func accountKey(_ key: BudgetAccount.Key) {
        text(key.tenant.text)
        text(key.project.text)
    }
}
