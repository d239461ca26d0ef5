import Contracts
import Foundation
import Storage
import Testing

/// Results and decisions that no message brought: one tenant's, however many wait for a row that somebody holds locked,
/// do not keep another's from being looked at.
@Suite(.timeLimit(.minutes(10))) struct `Unheard results` {
    /// More of acme's than a page has, and one of beta's behind them, each with the question that it waits for.
    private static let rows = """
        CREATE TEMP TABLE waiting AS
        SELECT gen_random_uuid() AS task, gen_random_uuid() AS question, 'acme' AS tenant,
            now() - interval '2 hours' + n * interval '1 s' AS at
        FROM generate_series(1, 250) n;
        INSERT INTO waiting VALUES (gen_random_uuid(), '\(last)', 'beta', now() - interval '1 minute');
        INSERT INTO tasks (id, tenant_id, project_id, principal, workflow, workflow_version, role, state, priority,
            attempt_max, timeout_seconds, run_at, event_seq, attempt, stage_attempt, lease_token, dispatched_at,
            deadline, input, created_at, updated_at, review_round, draft, draft_agent, draft_role, draft_attempt)
        SELECT task, tenant, 'p', 'u', 'single', 1, 'developer', '%state%', 5, 5, 60, now(), 7, 2, 1, question::text,
            at, now() + interval '1 hour', '{}', at, at, 1, '{}', 'a', 'developer', 1 FROM waiting;
        """
    private static let last = "ffffffff-ffff-7fff-bfff-ffffffffffff"

    private static func tasks(_ state: String) -> String { rows.replacing("%state%", with: state) }

    @Test func `of runs that ended another tenant's is not behind all of one tenant's`() async throws {
        let last = try #require(ExecutionID(Self.last))
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            Self.tasks("testing") + """
                INSERT INTO sandbox_executions (id, tenant_id, caller, task_id, attempt, language, request_sha256,
                    state, status, result, ended_at)
                SELECT question, tenant, 'stage:test', task, 2, 'python', decode(repeat('00', 32), 'hex'), 'ended',
                    'ok', '{}', at FROM waiting;
                """)
        try await database.withPool { pool async throws in
            let store = TaskExecutionStore(pool: pool)
            let page = try await store.unheard(age: .seconds(2), limit: 100)
            #expect(page.count == 100 && page.contains(last))
            let all = try await store.unheard(age: .seconds(2), limit: 1000)
            #expect(all.count == 251 && Set(all).count == 251)
            let old = try await store.unheard(age: .seconds(3600), limit: 1000)
            #expect(old.count == 250 && !old.contains(last))
        }
    }

    @Test func `of sessions that were decided another tenant's is not behind all of one tenant's`() async throws {
        let last = try #require(ReviewID(Self.last))
        let database = try await MigrationDatabase.migrated()
        try await database.sql(
            Self.tasks("reviewing") + """
                INSERT INTO peer_review_sessions (id, tenant_id, task_id, attempt, round, author_agent, author_owner,
                    artifact_sha256, reviewers, weight_total, status, score, explanation, deadline, decided_at)
                SELECT question, tenant, task, 2, 1, 'a', 'o', decode(repeat('00', 32), 'hex'), '[]', 1, 'approved', 1,
                    '{}', now(), at FROM waiting;
                """)
        try await database.withPool { pool async throws in
            let store = TaskReviewStore(pool: pool)
            let page = try await store.unheard(age: .seconds(2), limit: 200)
            #expect(page.count == 200 && page.contains(last))
            let all = try await store.unheard(age: .seconds(2), limit: 1000)
            #expect(all.count == 251 && Set(all).count == 251)
            let old = try await store.unheard(age: .seconds(3600), limit: 1000)
            #expect(old.count == 250 && !old.contains(last))
        }
    }
}
