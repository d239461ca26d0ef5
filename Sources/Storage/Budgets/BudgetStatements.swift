internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Sets two things for this transaction alone.
///
/// Its statements are planned for what they are about: the tables grow from nothing to millions of rows, and a plan
/// kept from the beginning would read all of them. And it waits for a lock for less than the second after which the
/// server looks for deadlocks, so that it is never an operator's own UPDATE of several accounts that is given up.
struct PrepareBatch: PostgresStatement {
    static let sql = """
        SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('lock_timeout', '500ms', true)
        """

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) {}
}

/// Inserts reservations that are not there yet, and answers those. The order of their keys is the order of locking.
///
/// Which accounts exist is noted in the row: they are the ones it will be settled on.
struct InsertReservations: PostgresStatement {
    let requests: [ReservationRequest]

    static let sql =
        """
        INSERT INTO budget_reservations AS r (
            tenant_id, project_id, request_id, fingerprint, principal, task_id, amount, state, response, expires_at
        )
        SELECT tenant_id, project_id, request_id, fingerprint, principal, task_id, amount, 'pending',
            json_build_object('accounts', ARRAY(
                SELECT l.project_id FROM budget_limits l
                WHERE l.tenant_id = i.tenant_id AND l.project_id IN (i.project_id, 'all-projects')
            )),
            clock_timestamp() + make_interval(secs => seconds)
        FROM unnest(
            $1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::uuid[], $7::int8[], $8::int8[]
        ) WITH ORDINALITY AS i(
            tenant_id, project_id, request_id, fingerprint, principal, task_id, amount, seconds, place
        )
        ORDER BY place
        ON CONFLICT DO NOTHING
        """ + " RETURNING " + ReservationRow.columns

    func bind(to bindings: inout PostgresBindings) {
        bindings.reservationKeys(requests.map(\.key))
        bindings.bytesArray(requests.map(\.fingerprint))
        bindings.texts(requests.map(\.principal))
        bindings.uuids(requests.map { $0.task?.uuid })
        bindings.ints(requests.map(\.amount))
        bindings.ints(requests.map(\.timeToLiveSeconds))
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetBook.Entry {
        var entry = try ReservationRow.entry(row)
        entry.isUndecided = true
        return entry
    }
}

/// Reads reservations without locking them.
struct FindReservations: PostgresStatement {
    let keys: [Reservation.Key]

    static let isReadOnly = true
    static let sql =
        "SELECT " + ReservationRow.columns + """
             FROM budget_reservations r
            JOIN unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, project_id, request_id)
                USING (tenant_id, project_id, request_id)
            """

    func bind(to bindings: inout PostgresBindings) { bindings.reservationKeys(keys) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetBook.Entry {
        try ReservationRow.entry(row)
    }
}

/// Locks reservations that are to be settled, in the order of their keys.
struct LockReservations: PostgresStatement {
    let keys: [Reservation.Key]

    static let sql =
        "SELECT " + ReservationRow.columns + """
             FROM budget_reservations r
            JOIN unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
                AS k(tenant_id, project_id, request_id, place) USING (tenant_id, project_id, request_id)
            ORDER BY place FOR NO KEY UPDATE OF r
            """

    func bind(to bindings: inout PostgresBindings) { bindings.reservationKeys(keys) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetBook.Entry {
        try ReservationRow.entry(row)
    }
}

/// Locks holds whose time is over, the longest overdue first, passing over what others have locked.
struct LockExpired: PostgresStatement {
    let tenant: TenantID?
    let limit: Int

    static let sql =
        "SELECT " + ReservationRow.columns + """
             FROM budget_reservations r
            WHERE state = 'pending' AND expires_at <= clock_timestamp() AND ($2::text IS NULL OR tenant_id = $2)
            ORDER BY expires_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.int(limit)
        bindings.text(tenant?.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetBook.Entry {
        try ReservationRow.entry(row)
    }
}

/// Whose holds are past their time.
struct ListExpiredTenants: PostgresStatement {
    static let isReadOnly = true
    static let sql = """
        SELECT DISTINCT tenant_id FROM budget_reservations
        WHERE state = 'pending' AND expires_at <= clock_timestamp()
        """

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TenantID { try row.name(0) }
}

/// Locks accounts, a tenant's own after its projects'.
struct LockAccounts: PostgresStatement {
    let keys: [BudgetAccount.Key]

    static let sql =
        "SELECT " + AccountRow.columns + """
             FROM budget_limits l
            JOIN unnest($1::text[], $2::text[]) AS k(tenant_id, project_id) USING (tenant_id, project_id)
            ORDER BY l.tenant_id, l.project_id = 'all-projects', l.project_id
            FOR NO KEY UPDATE OF l
            """

    func bind(to bindings: inout PostgresBindings) { bindings.accountKeys(keys) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetAccount { try AccountRow.read(row) }
}

/// The oldest holds on accounts, but for those that this transaction is ending.
///
/// They are looked for among the 2,000 that expire next in the whole installation, so that a denial costs little
/// however many holds there are.
struct ListHolds: PostgresStatement {
    struct Found: Sendable {
        let account: BudgetAccount.Key
        let hold: BudgetDenial.Hold
    }

    let accounts: [BudgetAccount.Key]
    let except: [Reservation.Key]

    static let sql = """
        WITH ended AS MATERIALIZED (
            SELECT * FROM unnest($3::text[], $4::text[], $5::text[]) AS e(tenant_id, project_id, request_id)
        ), next AS MATERIALIZED (
            SELECT * FROM budget_reservations WHERE state = 'pending' ORDER BY expires_at LIMIT 2000
        )
        SELECT a.tenant_id, a.project_id, h.project_id, h.request_id, h.amount, h.expires_at
        FROM unnest($1::text[], $2::text[]) AS a(tenant_id, project_id)
        CROSS JOIN LATERAL (
            SELECT * FROM next n
            WHERE n.tenant_id = a.tenant_id AND a.project_id IN (n.project_id, 'all-projects')
                AND NOT EXISTS (
                    SELECT FROM ended e WHERE e.tenant_id = n.tenant_id AND e.project_id = n.project_id
                        AND e.request_id = n.request_id
                )
            ORDER BY n.created_at, n.request_id LIMIT $6
        ) h
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.accountKeys(accounts)
        bindings.reservationKeys(except)
        bindings.int(BudgetDenial.holdsMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Found {
        Found(
            account: BudgetAccount.Key(tenant: try row.name(0), project: try row.name(1)),
            hold: BudgetDenial.Hold(
                project: try row.text(2), request: try row.text(3), amount: try row.int(4),
                expiresAt: Timestamp.text(try row.timestamp(5))
            )
        )
    }
}

extension PostgresBindings {
    /// Three arrays: tenant_id, project_id, request_id.
    mutating func reservationKeys(_ keys: [Reservation.Key]) {
        texts(keys.map { $0.tenant.text })
        texts(keys.map { $0.project.text })
        texts(keys.map { $0.request.text })
    }

    /// Two arrays: tenant_id, project_id.
    mutating func accountKeys(_ keys: [BudgetAccount.Key]) {
        texts(keys.map { $0.tenant.text })
        texts(keys.map { $0.project.text })
    }
}
