internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Writes what a batch has decided: accounts, reservations and ledger, in one statement. Everything it updates has been
/// locked, or inserted, by the same transaction.
struct WriteBudget: PostgresStatement {
    let accounts: [(key: BudgetAccount.Key, change: BudgetBook.AccountChange)]
    let reservations: [Reservation]
    let bookings: [BudgetBook.Booking]

    init(_ book: BudgetBook) {
        accounts = book.accountChanges.map { ($0.key, $0.value) }
        reservations = book.rewritten.compactMap { book.entries[$0]?.reservation }
        bookings = book.bookings
    }

    static let sql = """
        WITH account AS (
            UPDATE budget_limits l SET
                current_usage = l.current_usage + c.used, reserved = l.reserved + c.reserved,
                overage = l.overage + c.overage, updated_at = clock_timestamp(),
                blocked_at = CASE WHEN c.blocks THEN coalesce(l.blocked_at, clock_timestamp()) ELSE l.blocked_at END
            FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[], $5::int8[], $6::bool[])
                AS c(tenant_id, project_id, used, reserved, overage, blocks)
            WHERE l.tenant_id = c.tenant_id AND l.project_id = c.project_id
        ), reservation AS (
            UPDATE budget_reservations r
            SET state = c.state, amount = c.amount, actual = c.actual, settled_at = c.settled_at, response = c.response
            FROM unnest(
                $7::text[], $8::text[], $9::text[], $10::text[], $11::int8[], $12::int8[], $13::timestamptz[],
                $14::json[]
            ) AS c(tenant_id, project_id, request_id, state, amount, actual, settled_at, response)
            WHERE r.tenant_id = c.tenant_id AND r.project_id = c.project_id AND r.request_id = c.request_id
        )
        INSERT INTO budget_transactions (
            tenant_id, project_id, kind, request_id, task_id, usage_change, reserved_change, principal
        )
        SELECT tenant_id, project_id, kind, request_id, task_id, used, reserved, principal
        FROM unnest(
            $15::text[], $16::text[], $17::text[], $18::text[], $19::uuid[], $20::int8[], $21::int8[], $22::text[]
        ) WITH ORDINALITY
            AS b(tenant_id, project_id, kind, request_id, task_id, used, reserved, principal, place)
        ORDER BY place
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.accountKeys(accounts.map(\.key))
        bindings.ints(accounts.map(\.change.used))
        bindings.ints(accounts.map(\.change.reserved))
        bindings.ints(accounts.map(\.change.overage))
        bindings.bools(accounts.map(\.change.blocks))
        bindings.reservationKeys(reservations.map(\.key))
        bindings.texts(reservations.map(\.state.rawValue))
        bindings.ints(reservations.map(\.amount))
        bindings.ints(reservations.map(\.actual))
        bindings.timestamps(reservations.map(\.settledAt))
        bindings.jsons(reservations.map { Array(ReservationResponse.json($0).bytes) })
        bindings.accountKeys(bookings.map(\.account))
        bindings.texts(bookings.map(\.kind.rawValue))
        bindings.texts(bookings.map(\.request.text))
        bindings.uuids(bookings.map { $0.task?.uuid })
        bindings.ints(bookings.map(\.used))
        bindings.ints(bookings.map(\.reserved))
        bindings.texts(bookings.map(\.principal))
    }
}
