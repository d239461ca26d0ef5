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

/// Adds up ledger and holds of each account and answers the sums that differ from its row.
///
/// An account's ledger begins at its last opening: what stands before belongs to one that was removed.
struct VerifyAccounts: PostgresStatement {
    let tenant: TenantID?
    let limit: Int

    static let isReadOnly = true
    static let sql = """
        WITH opened AS MATERIALIZED (
            SELECT tenant_id, project_id, max(id) AS id FROM budget_transactions
            WHERE kind = 'open' AND ($1::text IS NULL OR tenant_id = $1) GROUP BY tenant_id, project_id
        ), booked AS MATERIALIZED (
            SELECT t.tenant_id, t.project_id, sum(t.limit_change)::int8 AS total_limit,
                sum(t.usage_change)::int8 AS used, sum(t.reserved_change)::int8 AS reserved
            FROM budget_transactions t LEFT JOIN opened o USING (tenant_id, project_id)
            WHERE ($1::text IS NULL OR t.tenant_id = $1) AND t.id >= coalesce(o.id, 0)
            GROUP BY t.tenant_id, t.project_id
        ), held AS MATERIALIZED (
            SELECT l.tenant_id, l.project_id, sum(r.amount)::int8 AS amount
            FROM budget_reservations r JOIN budget_limits l
                ON l.tenant_id = r.tenant_id AND l.project_id IN (r.project_id, 'all-projects')
            WHERE r.state = 'pending' AND ($1::text IS NULL OR r.tenant_id = $1)
                AND l.created_at <= r.created_at AND (r.response -> 'accounts')::jsonb ? l.project_id
            GROUP BY l.tenant_id, l.project_id
        )
        SELECT l.tenant_id, l.project_id, s.sum, s.found, s.expected
        FROM budget_limits l LEFT JOIN booked b USING (tenant_id, project_id)
        LEFT JOIN held h USING (tenant_id, project_id)
        CROSS JOIN LATERAL (VALUES
            ('total_limit', l.total_limit, coalesce(b.total_limit, 0)),
            ('current_usage', l.current_usage, coalesce(b.used, 0)),
            ('reserved', l.reserved, coalesce(b.reserved, 0)),
            ('holds', l.reserved, coalesce(h.amount, 0))
        ) AS s(sum, found, expected)
        WHERE ($1::text IS NULL OR l.tenant_id = $1) AND s.found <> s.expected
        ORDER BY l.tenant_id, l.project_id, s.sum LIMIT $2
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant?.text)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetDifference {
        let sum = try row.text(2)
        guard let sum = BudgetDifference.Sum(rawValue: sum) else { throw TaskRow.unreadable("A sum is named \(sum)") }
        return BudgetDifference(
            account: BudgetAccount.Key(tenant: try row.name(0), project: try row.name(1)), sum: sum,
            found: try row.int(3), expected: try row.int(4)
        )
    }
}

extension PostgresBindings {
    /// Two texts: tenant_id, project_id.
    fileprivate mutating func accountKey(_ key: BudgetAccount.Key) {
        text(key.tenant.text)
        text(key.project.text)
    }
}
