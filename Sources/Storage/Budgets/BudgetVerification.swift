internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Adds up one tenant's ledger against the rows of its accounts, a page at a time, so that no statement takes longer
/// because the ledger is long.
///
/// The first statement sees rows, holds and the ledger's newest part at one instant. What is older is history that no
/// transaction adds to any more, and is read afterwards, backwards in time.
///
/// An account's ledger begins at its last opening: what has a smaller id belongs to one that was removed.
struct BudgetVerification {
    struct Sums: Sendable {
        var totalLimit: Int
        var used: Int
        var reserved: Int

        static func += (left: inout Sums, right: Sums) {
            left.totalLimit += right.totalLimit
            left.used += right.used
            left.reserved += right.reserved
        }
    }

    /// An account, and its ledger as far as it is added up.
    struct Account: Sendable {
        let key: BudgetAccount.Key
        /// What its row says.
        let found: Sums
        /// What is pending for it.
        let held: Int
        var booked: Sums
        /// The ledger's id of its last opening, once that was seen.
        var opening: Int?
        /// Where the part begins that is read first.
        let begin: Date
    }

    /// The part of one account's ledger that a page holds.
    struct Part: Sendable {
        let project: ProjectID
        let booked: Sums
        let opening: Int?
        /// Where the page begins.
        let begin: Date
    }

    private let tenant: TenantID
    private let pageRows: Int
    private var accounts: [ProjectID: Account] = [:]
    private var begin: Date?

    init(_ accounts: [Account], of tenant: TenantID, pageRows: Int) {
        self.tenant = tenant
        self.pageRows = pageRows
        for account in accounts { self.accounts[account.key.project] = account }
        begin = accounts.first?.begin
    }

    /// Reads what is still to be added; nil when that is all.
    var next: SumLedgerPage? {
        begin.map { begin in
            SumLedgerPage(
                tenant: tenant, before: begin, rows: pageRows,
                openings: accounts.values.compactMap { account in
                    account.opening.map { (project: account.key.project, id: $0) }
                }
            )
        }
    }

    mutating func add(_ page: [Part]) {
        for part in page {
            accounts[part.project]?.booked += part.booked
            accounts[part.project]?.opening = part.opening
        }
        begin = page.first?.begin
    }

    var differences: [BudgetDifference] {
        accounts.values.sorted { $0.key.project < $1.key.project }.flatMap { account in
            let rows: [(BudgetDifference.Sum, Int, Int)] = [
                (.used, account.found.used, account.booked.used), (.holds, account.found.reserved, account.held),
                (.reserved, account.found.reserved, account.booked.reserved),
                (.totalLimit, account.found.totalLimit, account.booked.totalLimit),
            ]
            return rows.filter { $0.1 != $0.2 }.map {
                BudgetDifference(account: account.key, sum: $0.0, found: $0.1, expected: $0.2)
            }
        }
    }
}

/// The tenants that have accounts.
struct ListAccountTenants: PostgresStatement {
    static let isReadOnly = true
    static let sql = "SELECT DISTINCT tenant_id FROM budget_limits ORDER BY tenant_id"

    func bind(to bindings: inout PostgresBindings) {}

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TenantID { try row.name(0) }
}

/// A tenant's accounts with their holds and with the last ten minutes of their ledger, longer than any transaction
/// lasts.
struct BeginVerification: PostgresStatement {
    let tenant: TenantID

    static let isReadOnly = true
    static let sql = """
        WITH page AS MATERIALIZED (
            SELECT t.id, t.project_id, t.kind, t.limit_change, t.usage_change, t.reserved_change
            FROM budget_transactions t WHERE t.tenant_id = $1 AND t.timestamp >= now() - interval '10 minutes'
        ), opened AS (
            SELECT project_id, max(id) AS id FROM page WHERE kind = 'open' GROUP BY project_id
        ), booked AS (
            SELECT p.project_id, sum(p.limit_change)::int8 AS total_limit, sum(p.usage_change)::int8 AS used,
                sum(p.reserved_change)::int8 AS reserved
            FROM page p LEFT JOIN opened o USING (project_id) WHERE p.id >= coalesce(o.id, 0) GROUP BY p.project_id
        ), held AS (
            SELECT l.project_id, sum(r.amount)::int8 AS amount
            FROM budget_reservations r JOIN budget_limits l
                ON l.tenant_id = r.tenant_id AND l.project_id IN (r.project_id, 'all-projects')
            WHERE r.state = 'pending' AND r.tenant_id = $1
                AND l.created_at <= r.created_at AND (r.response -> 'accounts')::jsonb ? l.project_id
            GROUP BY l.project_id
        )
        SELECT l.tenant_id, l.project_id, l.total_limit, l.current_usage, l.reserved, coalesce(h.amount, 0),
            coalesce(b.total_limit, 0), coalesce(b.used, 0), coalesce(b.reserved, 0), o.id,
            now() - interval '10 minutes'
        FROM budget_limits l LEFT JOIN booked b USING (project_id) LEFT JOIN held h USING (project_id)
        LEFT JOIN opened o USING (project_id)
        WHERE l.tenant_id = $1
        """

    func bind(to bindings: inout PostgresBindings) { bindings.text(tenant.text) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetVerification.Account {
        BudgetVerification.Account(
            key: BudgetAccount.Key(tenant: try row.name(0), project: try row.name(1)),
            found: BudgetVerification.Sums(
                totalLimit: try row.int(2), used: try row.int(3), reserved: try row.int(4)),
            held: try row.int(5),
            booked: BudgetVerification.Sums(
                totalLimit: try row.int(6), used: try row.int(7), reserved: try row.int(8)),
            opening: try row.intOrNil(9), begin: try row.timestamp(10)
        )
    }
}

/// Adds up the page of a tenant's ledger that ends before a time; rows of one instant stay together. No rows: it is the
/// end.
struct SumLedgerPage: PostgresStatement {
    let tenant: TenantID
    let before: Date
    let rows: Int
    let openings: [(project: ProjectID, id: Int)]

    static let isReadOnly = true
    static let sql = """
        WITH page AS MATERIALIZED (
            SELECT id, project_id, kind, limit_change, usage_change, reserved_change, timestamp
            FROM budget_transactions WHERE tenant_id = $1 AND timestamp < $2
            ORDER BY timestamp DESC FETCH FIRST ($3::int8) ROWS WITH TIES
        ), opened AS (
            SELECT project_id, max(id) AS id FROM (
                SELECT project_id, id FROM page WHERE kind = 'open'
                UNION ALL SELECT * FROM unnest($4::text[], $5::int8[])
            ) o GROUP BY project_id
        )
        SELECT p.project_id, coalesce(sum(p.limit_change) FILTER (WHERE p.id >= coalesce(o.id, 0)), 0)::int8,
            coalesce(sum(p.usage_change) FILTER (WHERE p.id >= coalesce(o.id, 0)), 0)::int8,
            coalesce(sum(p.reserved_change) FILTER (WHERE p.id >= coalesce(o.id, 0)), 0)::int8,
            o.id, (SELECT min(timestamp) FROM page)
        FROM page p LEFT JOIN opened o USING (project_id) GROUP BY p.project_id, o.id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.timestamp(before)
        bindings.int(rows)
        bindings.texts(openings.map(\.project.text))
        bindings.ints(openings.map(\.id))
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetVerification.Part {
        BudgetVerification.Part(
            project: try row.name(0),
            booked: BudgetVerification.Sums(
                totalLimit: try row.int(1), used: try row.int(2), reserved: try row.int(3)),
            opening: try row.intOrNil(4), begin: try row.timestamp(5)
        )
    }
}
