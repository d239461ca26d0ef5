import Foundation
import Testing

@Suite(.timeLimit(.minutes(10))) struct `Schema snapshot` {
    @Test func `the migrations build the schema that was reviewed`() async throws {
        let now = try await SchemaSnapshot.text(of: try await MigrationDatabase.migrated())
        if ProcessInfo.processInfo.environment[SchemaSnapshot.updateVariable] == "1" {
            try Data(now.utf8).write(to: SchemaSnapshot.file)
        }
        let reviewed = try String(contentsOf: SchemaSnapshot.file, encoding: .utf8)
        #expect(
            now == reviewed,
            """
            The schema is not the reviewed one:
            \(SchemaSnapshot.difference(reviewed, now))
            If that is wanted, write it anew and review it:
            \(SchemaSnapshot.updateVariable)=1 swift test --filter 'Schema snapshot'
            """
        )
    }

    @Test func `the schema holds every owner's tables`() async throws {
        let text = try await SchemaSnapshot.text(of: try await MigrationDatabase.migrated())
        let tables = [
            "tasks", "task_events", "outbox", "idempotency_keys", "workflows", "agents", "bus_streams", "budget_limits",
            "budget_reservations", "budget_transactions", "dlq_messages", "audit_log", "peer_review_sessions",
            "peer_votes", "escalations", "agent_prompts", "learning_governance", "learning_patterns", "users",
            "api_keys", "signing_keys", "login_attempts", "webhooks", "webhook_deliveries", "rate_limits",
            "token_revocations",
            "sandbox_executions", "release_lineage", "release_evidence",
        ]
        for table in tables { #expect(text.contains("column \(table)."), "\(table)") }
    }

    @Test func `a difference shows both sides`() {
        #expect(SchemaSnapshot.difference("a\nb\nc\n", "a\nc\nd\n") == "- b\n+ d")
        #expect(SchemaSnapshot.difference("a\n", "a\n").isEmpty)
    }
}
