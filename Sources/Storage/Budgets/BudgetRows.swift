internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// How a row of `budget_limits`, aliased `l`, is read.
enum AccountRow {
    static let columns = """
        l.tenant_id, l.project_id, l.total_limit, l.current_usage, l.reserved, l.overage, l.blocked_at IS NOT NULL,
        l.version, l.created_at, l.updated_at
        """

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetAccount {
        BudgetAccount(
            key: BudgetAccount.Key(tenant: try row.name(0), project: try row.name(1)), totalLimit: try row.int(2),
            used: try row.int(3), reserved: try row.int(4), overage: try row.int(5), isBlocked: try row.bool(6),
            version: try row.int(7), createdAt: try row.timestamp(8), updatedAt: try row.timestamp(9)
        )
    }
}

/// How a row of `budget_reservations`, aliased `r`, is read, with the database's time.
enum ReservationRow {
    static let columns = """
        r.tenant_id, r.project_id, r.request_id, r.fingerprint, r.principal, r.task_id, r.amount, r.state, r.actual,
        r.response, r.created_at, r.expires_at, r.settled_at, clock_timestamp()
        """

    static func entry(_ row: borrowing PostgresRow) throws(PostgresError) -> BudgetBook.Entry {
        let state = try row.text(7)
        let request = try row.text(2)
        guard let state = Reservation.State(rawValue: state), let request = BudgetRequestID(request) else {
            throw TaskRow.unreadable("A reservation is \(state), named by \(request.utf8.count) bytes")
        }
        let response = try row.isNull(9) ? JSON.emptyObject : try row.parsedJSON(9)
        return BudgetBook.Entry(
            reservation: Reservation(
                key: Reservation.Key(tenant: try row.name(0), project: try row.name(1), request: request),
                principal: try row.text(4), task: try row.uuidOrNil(5).map { TaskID($0) }, amount: try row.int(6),
                state: state, actual: try row.intOrNil(8), createdAt: try row.timestamp(10),
                expiresAt: try row.timestamp(11), settledAt: try row.timestampOrNil(12),
                accounts: ReservationResponse.accounts(response), denial: ReservationResponse.denial(response)
            ),
            fingerprint: try row.bytes(3), seenAt: try row.timestamp(13)
        )
    }
}

/// What stands in `budget_reservations.response`: the accounts charged, and the denial if there was one.
enum ReservationResponse {
    static func json(_ reservation: Reservation) -> JSON {
        JSONWriter.object { writer in
            writer.field("accounts", reservation.accounts.map(\.text))
            if let denial = reservation.denial { writer.field("denial", object: { write(denial, to: &$0) }) }
        }
    }

    private static func write(_ denial: BudgetDenial, to writer: inout JSONWriter) {
        writer.field("reason", denial.reason.rawValue)
        writer.field("project", denial.project.text)
        writer.field("total_limit", denial.totalLimit)
        writer.field("used", denial.used)
        writer.field("reserved", denial.reserved)
        writer.field(
            "holds",
            array: { writer in
                for hold in denial.holds {
                    writer.element(object: {
                        $0.field("project", hold.project)
                        $0.field("request_id", hold.request)
                        $0.field("amount", hold.amount)
                        $0.field("expires_at", hold.expiresAt)
                    })
                }
            })
    }

    static func accounts(_ response: JSON) -> [ProjectID] {
        (value("accounts", in: response)?.array ?? []).compactMap { $0.string.flatMap { ProjectID($0) } }
    }

    static func denial(_ response: JSON) -> BudgetDenial? {
        guard let json = value("denial", in: response),
            let reason = value("reason", in: json)?.string.flatMap({ BudgetDenial.Reason(rawValue: $0) }),
            let project = value("project", in: json)?.string.flatMap({ ProjectID($0) }),
            let totalLimit = value("total_limit", in: json)?.int, let used = value("used", in: json)?.int,
            let reserved = value("reserved", in: json)?.int
        else { return nil }
        let holds = (value("holds", in: json)?.array ?? []).compactMap(hold)
        return BudgetDenial(
            reason: reason, project: project, totalLimit: totalLimit, used: used, reserved: reserved, holds: holds
        )
    }

    private static func hold(_ json: JSON) -> BudgetDenial.Hold? {
        guard let project = value("project", in: json)?.string, let request = value("request_id", in: json)?.string,
            let amount = value("amount", in: json)?.int, let expiresAt = value("expires_at", in: json)?.string
        else { return nil }
        return BudgetDenial.Hold(project: project, request: request, amount: amount, expiresAt: expiresAt)
    }

    private static func value(_ name: String, in json: JSON) -> JSON? {
        (json.fields ?? []).first { $0.name == name }?.value
    }
}
