internal import HTTPEdge
internal import Storage

/// How a budget says no: which one, what stands on it, and who holds the rest.
enum BudgetProblem {
    /// - Parameter reservation: what was asked for by `POST /budget/request`.
    static func denied(_ denial: BudgetDenial, request reservation: Reservation) -> Problem {
        problem(
            denial, of: reservation, kept: "Nothing was held",
            next: "ask again with a new request_id once holds are settled or the limit is raised"
        )
    }

    /// - Parameter reservation: what would have been held for a task.
    static func denied(_ denial: BudgetDenial, task reservation: Reservation) -> Problem {
        problem(
            denial, of: reservation, kept: "Nothing was accepted",
            next: "submit it again with fewer budget_tokens, or once holds are settled or the limit is raised"
        )
    }

    private static func problem(
        _ denial: BudgetDenial, of reservation: Reservation, kept: String, next: String
    ) -> Problem {
        let isTenants = denial.project == BudgetAccount.tenantWide
        let whose = isTenants ? "the tenant's budget" : "the budget of project \(denial.project)"
        let member = Problem.Member(name: "budget", value: BudgetView.denial(denial, of: reservation))
        switch denial.reason {
        case .exhausted:
            return Problem(
                .budgetExhausted,
                "\(reservation.amount) tokens do not fit \(whose): \(denial.used) used and \(denial.reserved) held "
                    + "of \(denial.totalLimit). \(kept); \(next).",
                members: [member]
            )
        case .blocked:
            return Problem(
                .budgetBlocked,
                "More was used than had been held, which blocks \(whose) until its limit is raised. \(kept).",
                members: [member]
            )
        }
    }
}
