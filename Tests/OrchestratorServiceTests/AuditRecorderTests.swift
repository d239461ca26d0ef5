import Bootstrap
import Contracts
import Foundation
import Postgres
import Storage
import Testing

@testable import OrchestratorService

@Suite struct `Audit recorder` {
    @Test func `what it has no room for is counted as lost`() {
        let registry = MetricsRegistry()
        let pool = PostgresPool(
            PostgresConfiguration(connectionString: "", applicationName: "test"), logger: OrchestratorUnderTest.quiet)
        let recorder = AuditRecorder(
            store: AuditStore(pool: pool), registry: registry, logger: OrchestratorUnderTest.quiet)
        let entry = AuditEntry(
            chain: .installation, at: Date(timeIntervalSince1970: 0), actor: "olga", actorRole: "observer",
            action: "submitTask", resource: "POST /tasks", outcome: .denied)
        recorder.enqueue(Array(repeating: entry, count: AuditQueue.countMax))
        #expect(registry.text().contains("\naudit_entries_lost_total 0\n"))
        recorder.enqueue([entry, entry, entry])
        #expect(registry.text().contains("\naudit_entries_lost_total 3\n"))
    }
}
