internal import Contracts
internal import FoundationEssentials
internal import Storage

/// Accounts and reservations as the API shows them.
enum BudgetView {
    /// What `POST /budget/request` answers: only what never changes, so that a repetition is answered alike.
    static func granted(_ reservation: Reservation) -> JSON {
        JSONWriter.object { writer in
            writeRequest(reservation, to: &writer)
            writer.field("outcome", "reserved")
        }
    }

    /// A reservation as it is now.
    static func reservation(_ reservation: Reservation) -> JSON {
        JSONWriter.object { writer in
            writeRequest(reservation, to: &writer)
            writer.field("state", reservation.state.rawValue)
            writer.field("principal", reservation.principal)
            writer.field(ifPresent: "actual", reservation.actual)
            writer.field("overage", reservation.overage)
            writer.field(ifPresent: "settled_at", reservation.settledAt.map(Timestamp.text))
        }
    }

    private static func writeRequest(_ reservation: Reservation, to writer: inout JSONWriter) {
        writer.field("request_id", reservation.key.request.text)
        writer.field("tenant", reservation.key.tenant.text)
        writer.field("project", reservation.key.project.text)
        writer.field("tokens", reservation.amount)
        writer.field(ifPresent: "task_id", reservation.task?.description)
        writer.field("accounts", reservation.accounts.map(\.text))
        writer.field("created_at", Timestamp.text(reservation.createdAt))
        writer.field("expires_at", Timestamp.text(reservation.expiresAt))
    }

    /// Who had no room, and who holds it.
    static func denial(_ denial: BudgetDenial, of reservation: Reservation) -> JSON {
        JSONWriter.object { writer in
            writer.field("reason", denial.reason.rawValue)
            writer.field("request_id", reservation.key.request.text)
            writer.field("project", denial.project.text)
            writer.field("requested", reservation.amount)
            writer.field("used", denial.used)
            writer.field("reserved", denial.reserved)
            writer.field("limit", denial.totalLimit)
            writer.field(
                "holds",
                array: { writer in
                    for hold in denial.holds {
                        writer.element(object: {
                            $0.field("project", hold.project)
                            $0.field("request_id", hold.request)
                            $0.field("tokens", hold.amount)
                            $0.field("expires_at", hold.expiresAt)
                        })
                    }
                })
        }
    }

    static func account(_ account: BudgetAccount) -> JSON {
        JSONWriter.object { writer in
            writer.field("tenant", account.key.tenant.text)
            writer.field("project", account.key.project.text)
            writer.field("total_limit", account.totalLimit)
            writer.field("used", account.used)
            writer.field("reserved", account.reserved)
            writer.field("available", account.available)
            writer.field("overage", account.overage)
            writer.field("blocked", account.isBlocked)
            writer.field("version", account.version)
            writer.field("updated_at", Timestamp.text(account.updatedAt))
        }
    }

    static func difference(_ difference: BudgetDifference) -> JSON {
        JSONWriter.object { writer in
            writer.field("project", difference.account.project.text)
            writer.field("sum", difference.sum.rawValue)
            writer.field("found", difference.found)
            writer.field("expected", difference.expected)
        }
    }
}
