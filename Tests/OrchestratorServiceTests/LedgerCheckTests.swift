import Contracts
import Foundation
internal import TestSupport
import Testing

@Suite struct `Ledger check` {
    @Test func `the leader counts accounts that do not match their ledger, for an alert`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await eventually { try await stack.metrics.contains("\nbudget_ledger_checked_timestamp_seconds 1") }
            #expect(try await stack.metrics.contains("\nbudget_ledger_differences 0\n"))
        }
    }

    @Test func `a difference is there when the next term begins`() async throws {
        try await OrchestratorUnderTest.run(
            before: { stack in
                _ = try await stack.sql(
                    """
                    INSERT INTO budget_limits (tenant_id, project_id, total_limit) VALUES ('acme', 'p', 10);
                    UPDATE budget_limits SET current_usage = 3
                    """)
            }
        ) { stack in
            try await eventually { try await stack.metrics.contains("\nbudget_ledger_differences 1\n") }
            // The next term cannot look; what an earlier one found is not shown any more.
            _ = try await stack.sql("ALTER TABLE budget_transactions RENAME TO hidden")
            _ = try await stack.sql(
                """
                SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()
                """)
            try await eventually { try await stack.metrics.contains("\nbudget_ledger_differences 0\n") }
        }
    }
}

extension OrchestratorUnderTest {
    fileprivate var metrics: String {
        get async throws { try await get("/metrics", token: nil).body }
    }
}
