import Contracts
import Foundation
import Storage
import Testing

/// Reservations, settlements and limits against a real Postgres.
@Suite(.timeLimit(.minutes(10))) struct `Budget store` {
    @Test func `the same request is answered alike and another under its id is refused`() async throws {
        try await BudgetHarness.with { budget, database in
            try await budget.setLimit(100)
            let first = try await budget.reserve("r", 60)
            let again = try await budget.reserve("r", 60)
            #expect(first.isReserved && again.isReplayed)
            #expect(first.reservation == again.reservation)
            #expect(try await budget.reserve("r", 61) == .mismatch)
            #expect(try await budget.reserve("r", 60, seconds: 601) == .mismatch)
            #expect(try await budget.reserve("r", 60, project: "beta").isReserved, "Another project's id is another.")
            #expect(try await budget.commit("r", 50).isSettled)
            let after = try await budget.reserve("r", 60)
            #expect(after.isReplayed && after.reservation?.state == .committed)
            #expect(try await database.sql("SELECT current_usage, reserved FROM budget_limits") == "50|0")
            #expect(try await budget.store.verify(tenant: nil).isEmpty)
        }
    }

    @Test func `a denial names the holds and stays a denial when the limit is raised by SQL`() async throws {
        try await BudgetHarness.with { budget, database in
            try await budget.setLimit(100)
            for number in 1...12 { #expect(try await budget.reserve("hold\(number)", 5).isReserved) }
            #expect(try await budget.commit("hold1", 5).isSettled)
            let denied = try await budget.reserve("r", 50)
            let denial = try #require(denied.denial)
            #expect(denied.isDenied && denial.reason == .exhausted && denial.project.text == "alpha")
            #expect(denial.totalLimit == 100 && denial.used == 5 && denial.reserved == 55)
            #expect(denial.holds.map(\.request) == (2...11).map { "hold\($0)" })
            try await database.sql("UPDATE budget_limits SET total_limit = 2000000 WHERE tenant_id = 'acme'")
            let again = try await budget.reserve("r", 50)
            #expect(again.isDeniedAgain && again.denial == denial)
            #expect(try await budget.reserve("another", 1_000_000).isReserved, "The raise takes effect at once.")
            #expect(try await budget.commit("r", 1).isConflict)
            #expect(try await budget.store.verify(tenant: nil).isEmpty)
        }
    }

    @Test func `tenant and project budgets are both enforced`() async throws {
        try await BudgetHarness.with { budget, database in
            try await budget.setLimit(100, project: "all-projects")
            try await budget.setLimit(80)
            #expect(try await budget.reserve("a", 81).denial?.project.text == "alpha")
            #expect(try await budget.reserve("b", 80).isReserved)
            let denied = try await budget.reserve("c", 21, project: "beta")
            #expect(denied.denial?.project == BudgetAccount.tenantWide)
            #expect(denied.denial?.holds.first?.project == "alpha")
            #expect(try await budget.reserve("d", 20, project: "beta").isReserved)
            #expect(try await budget.commit("b", 10).isSettled)
            #expect(try await budget.reserve("e", 70, project: "all-projects").isReserved)
            let state = "SELECT project_id, current_usage, reserved FROM budget_limits ORDER BY project_id"
            #expect(try await database.sql(state) == "all-projects|10|90\nalpha|10|0")
            #expect(try await budget.store.verify(tenant: nil).isEmpty)
        }
    }

    @Test func `without an account nothing is limited and one opened later counts from then on`() async throws {
        try await BudgetHarness.with { budget, database in
            let first = try await budget.reserve("r", 1_000_000)
            #expect(first.isReserved && first.reservation?.accounts == [])
            try await budget.setLimit(100)
            #expect(try await budget.commit("r", 30).isSettled)
            #expect(try await database.sql("SELECT current_usage, reserved, overage FROM budget_limits") == "30|0|0")
            try await budget.reserve("s", 40).reservation.map { #expect($0.accounts.map(\.text) == ["alpha"]) }
            try await database.sql("DELETE FROM budget_limits")
            try await budget.setLimit(500)
            #expect(try await budget.release("s").isSettled, "The hold was the removed account's.")
            #expect(try await database.sql("SELECT current_usage, reserved FROM budget_limits") == "0|0")
            #expect(try await budget.store.verify(tenant: nil).isEmpty)
        }
    }

    @Test func `an overage blocks the account until its limit is raised`() async throws {
        try await BudgetHarness.with { budget, database in
            try await budget.setLimit(1000)
            _ = try await budget.reserve("r", 100)
            let settled = try await budget.commit("r", 130)
            #expect(settled.isSettled && settled.reservation?.overage == 30)
            #expect(try await budget.commit("r", 130).isReplayed, "Booked once.")
            #expect(try await budget.reserve("s", 1).denial?.reason == .blocked)
            let state = "SELECT current_usage, reserved, overage, blocked_at IS NULL FROM budget_limits"
            #expect(try await database.sql(state) == "130|0|30|f")
            try await budget.setLimit(900)
            #expect(try await budget.reserve("t", 1).denial?.reason == .blocked, "Lowering lifts nothing.")
            try await budget.setLimit(901)
            #expect(try await budget.reserve("u", 1).isReserved)
            #expect(try await budget.store.verify(tenant: nil).isEmpty)
        }
    }

    @Test func `a hold whose time is over is swept and a late commit is all overage`() async throws {
        try await BudgetHarness.with { budget, database in
            try await budget.setLimit(1000)
            for request in ["swept", "late", "live"] { _ = try await budget.reserve(request, 100) }
            try await database.sql(
                "UPDATE budget_reservations SET expires_at = now() WHERE request_id IN ('swept', 'late')")
            #expect(try await budget.commit("late", 40).reservation?.state == .expired)
            #expect(try await budget.store.sweepExpired(limit: 100, principal: "sweeper") == 1)
            #expect(try await budget.store.sweepExpired(limit: 100, principal: "sweeper") == 0)
            #expect(try await budget.release("swept").isReplayed)
            #expect(try await budget.commit("swept", 7).isSettled)
            #expect(try await budget.commit("swept", 7).isReplayed)
            #expect(try await budget.commit("swept", 8).isConflict)
            let state = "SELECT current_usage, reserved, overage, blocked_at IS NULL FROM budget_limits"
            #expect(try await database.sql(state) == "47|100|47|f")
            let kinds = "SELECT string_agg(kind, ' ' ORDER BY id) FROM budget_transactions WHERE kind <> 'reserve'"
            #expect(try await database.sql(kinds) == "open expire overage expire overage")
            #expect(try await budget.store.verify(tenant: nil).isEmpty)
        }
    }

    @Test func `a swept batch is bounded`() async throws {
        try await BudgetHarness.with { budget, database in
            try await budget.setLimit(1000)
            for number in 0..<10 { _ = try await budget.reserve("r\(number)", 1) }
            try await database.sql("UPDATE budget_reservations SET expires_at = now()")
            #expect(try await budget.store.sweepExpired(limit: 4, principal: "sweeper") == 4)
            #expect(try await budget.store.sweepExpired(limit: 100, principal: "sweeper") == 6)
            #expect(try await database.sql("SELECT reserved FROM budget_limits") == "0")
        }
    }

    @Test func `limits are changed at the version the caller saw`() async throws {
        try await BudgetHarness.with { budget, database in
            guard case .stale(nil) = try await budget.setLimit(5, version: 1) else {
                Issue.record("An account that is not there has no version.")
                return
            }
            guard case .set(let opened) = try await budget.setLimit(5, version: 0) else {
                Issue.record("It was not opened.")
                return
            }
            #expect(opened.version == 1 && opened.totalLimit == 5)
            #expect(try await budget.setLimit(6, version: 0) == .stale(opened))
            guard case .set(let changed) = try await budget.setLimit(7, version: 1) else {
                Issue.record("It was not changed.")
                return
            }
            #expect(changed.version == 2 && changed.totalLimit == 7)
            #expect(try await budget.setLimit(8, version: 1) == .stale(changed))
            #expect(try await database.sql("SELECT DISTINCT principal FROM budget_transactions") == "admin")
        }
    }

    @Test func `verifying names the account and the sum that was tampered with`() async throws {
        try await BudgetHarness.with { budget, database in
            try await budget.setLimit(1000)
            try await budget.setLimit(1000, project: "beta")
            _ = try await budget.reserve("r", 10)
            #expect(try await budget.store.verify(tenant: nil).isEmpty)
            try await database.sql("UPDATE budget_limits SET current_usage = 7 WHERE project_id = 'beta'")
            try await database.sql("UPDATE budget_reservations SET amount = 11")
            let found = try await budget.store.verify(tenant: BudgetHarness.tenant)
            #expect(found.map(\.account.project.text) == ["alpha", "beta"])
            #expect(found.map(\.sum) == [.holds, .used])
            #expect(found.map(\.found) == [10, 7] && found.map(\.expected) == [11, 0])
            #expect(try await budget.store.verify(tenant: TenantID(literal: "other")).isEmpty)
        }
    }

    @Test func `a ledger longer than a page is added up from its end to the account's last opening`() async throws {
        try await BudgetHarness.with { budget, database in
            func book(_ project: String, _ usage: Int, hoursAgo: Int) async throws {
                try await database.sql(
                    """
                    INSERT INTO budget_transactions (tenant_id, project_id, kind, usage_change, principal, timestamp)
                    SELECT 'acme', '\(project)', 'adjust', \(usage), 'p', date_trunc('hour', now()) - interval '1 hour'
                        * \(hoursAgo)
                    """)
            }
            // Belongs to an account that was removed before this one was opened.
            try await book("alpha", 1000, hoursAgo: 3)
            try await budget.setLimit(1000)
            try await budget.setLimit(1000, project: "beta")
            for hours in [1, 1, 1, 2, 4, 7] { try await book("alpha", hours, hoursAgo: hours) }
            try await book("beta", 5, hoursAgo: 9)
            _ = try await budget.reserve("r", 10)
            try await database.sql(
                "UPDATE budget_limits SET current_usage = CASE project_id WHEN 'alpha' THEN 16 ELSE 5 END")
            for rows in [1, 2, 3, 100] {
                #expect(try await budget.store.verify(tenant: nil, rows: rows).isEmpty, "\(rows) rows a page")
            }
            try await database.sql("UPDATE budget_limits SET current_usage = 6 WHERE project_id = 'beta'")
            let found = try await budget.store.verify(tenant: BudgetHarness.tenant, rows: 2)
            #expect(found.map(\.account.project.text) == ["beta"] && found.map(\.sum) == [.used])
            #expect(found.map(\.found) == [6] && found.map(\.expected) == [5])
        }
    }

    @Test func `what was settled a month ago is forgotten, and the ledger is not`() async throws {
        try await BudgetHarness.with { budget, database in
            try await budget.setLimit(100)
            for request in ["old", "recent", "held"] { _ = try await budget.reserve(request, 10) }
            for request in ["old", "recent"] { _ = try await budget.commit(request, 10) }
            try await database.sql(
                """
                UPDATE budget_reservations SET settled_at = settled_at - interval '31 days' WHERE request_id = 'old'
                """)
            #expect(try await budget.store.purgeSettled(limit: 10) == 1)
            #expect(try await budget.store.purgeSettled(limit: 10) == 0)
            let left = "SELECT string_agg(request_id, ' ' ORDER BY request_id) FROM budget_reservations"
            #expect(try await database.sql(left) == "held recent")
            #expect(try await budget.store.verify(tenant: nil).isEmpty)
        }
    }

    @Test func `reservations are listed page by page`() async throws {
        try await BudgetHarness.with { budget, _ in
            for number in 0..<7 { _ = try await budget.reserve("r|\(number)", 1, project: "p\(number % 2)") }
            _ = try await budget.release("r|0", project: "p0")
            var filter = ReservationFilter(tenant: BudgetHarness.tenant, limit: 3)
            var seen: [String] = []
            while true {
                let page = try await budget.store.reservations(filter)
                seen += page.map(\.key.request.text)
                guard let last = page.last else { break }
                filter.after = (last.key.project, last.key.request)
            }
            #expect(seen == ["r|0", "r|2", "r|4", "r|6", "r|1", "r|3", "r|5"])
            let pending = ReservationFilter(
                tenant: BudgetHarness.tenant, project: ProjectID("p0"), state: .pending, limit: 10)
            #expect(try await budget.store.reservations(pending).count == 3)
            let stranger = ReservationFilter(tenant: TenantID(literal: "other"), limit: 10)
            #expect(try await budget.store.reservations(stranger).isEmpty)
        }
    }
}
