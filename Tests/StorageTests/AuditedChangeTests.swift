import Contracts
import Foundation
import Postgres
import Storage
import Testing

/// Audit entries that commit with what they tell of.
@Suite(.timeLimit(.minutes(10))) struct `Audited changes` {
    @Test func `64 callers of three tenants at three replicas leave unbroken chains, one entry a task`() async throws {
        try await MigrationDatabase.migrated().withPool { pool in
            let replicas = (0..<3).map { _ in TaskStore(pool: pool) }
            let other = AuditStore(pool: pool)
            let budgets = BudgetStore(pool: pool)
            let limited = BudgetAccount.Key(tenant: AdmissionTest.tenants[0], project: TaskSubmission.projectDefault)
            _ = try await budgets.setLimit(limited, totalLimit: 1_000_000, expectedVersion: nil, principal: "admin")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<64 {
                    group.addTask {
                        for number in 0..<12 {
                            let tenant = AdmissionTest.tenants[(caller + number) % 3]
                            // Two callers at different replicas send each key.
                            let key = "\(caller / 2)-\(number)"
                            let admission = AdmissionTest.admission(tenant, key: key, isHeld: tenant == limited.tenant)
                            _ = try await replicas[caller % 3].admit(admission)
                            if number == 5 { try await other.append(AuditTest.entry(tenant.text)) }
                        }
                    }
                }
                try await group.waitForAll()
            }
            for tenant in AdmissionTest.tenants {
                let tasks = try await replicas[0].list(TaskFilter(tenant: tenant, limit: 1000)).map(\.id.description)
                let entries = try await other.list(AuditFilter(chain: .tenant(tenant), limit: 2000))
                let submitted = entries.filter { $0.action == "submitTask" }
                #expect(Set(submitted.map(\.resource)) == Set(tasks) && submitted.count == tasks.count)
                let verdict = try await other.verify(chain: tenant.text)
                #expect(verdict.broken == nil && verdict.rows == entries.count, "\(verdict)")
                for store in replicas { await store.shutdown() }
            }
            await budgets.shutdown()
        }
    }

    @Test func `what is not accepted leaves no entry`() async throws {
        try await MigrationDatabase.migrated().withPool { pool in
            let (tasks, audit, budgets) = (TaskStore(pool: pool), AuditStore(pool: pool), BudgetStore(pool: pool))
            let tenant = AdmissionTest.tenants[0]
            #expect(try await tasks.admit(AdmissionTest.admission(tenant, key: "a")) == .admitted)
            guard case .replayed = try await tasks.admit(AdmissionTest.admission(tenant, key: "a")) else {
                return #expect(Bool(false), "The key was not remembered.")
            }
            let account = BudgetAccount.Key(tenant: tenant, project: TaskSubmission.projectDefault)
            _ = try await budgets.setLimit(account, totalLimit: 5, expectedVersion: nil, principal: "admin")
            #expect(try await tasks.admit(AdmissionTest.admission(tenant, key: "b")) == .needsHold)
            guard case .denied = try await tasks.admit(AdmissionTest.admission(tenant, key: "b", isHeld: true)) else {
                return #expect(Bool(false), "Ten tokens of five were held.")
            }
            #expect(try await audit.list(AuditFilter(chain: .tenant(tenant), limit: 10)).count == 1)
            await tasks.shutdown()
            await budgets.shutdown()
        }
    }

    @Test func `a budget call's entry commits with what it did, once`() async throws {
        try await BudgetHarness.with { budget, database in
            try await budget.setLimit(100)
            let entry = AuditTest.entry(BudgetHarness.tenant.text, action: "requestBudget")
            let request = ReservationRequest(key: BudgetHarness.key("r"), amount: 60, principal: "alice")
            #expect(try await budget.store.reserve(request, audit: entry).isReserved)
            #expect(try await budget.store.reserve(request, audit: entry).isReplayed)
            let denied = ReservationRequest(key: BudgetHarness.key("s"), amount: 60, principal: "alice")
            #expect(try await budget.store.reserve(denied, audit: entry).isDenied)
            for _ in 1...2 {
                _ = try await budget.store.commit(request.key, actual: 5, principal: "alice", audit: entry)
            }
            #expect(try await database.sql("SELECT count(*), max(seq) FROM audit_log") == "2|2")
        }
    }
}

/// Admissions of tasks that nobody works on.
enum AdmissionTest {
    static let tenants = [TenantID(literal: "acme"), TenantID(literal: "beta"), TenantID(literal: "gamma")]

    static func admission(_ tenant: TenantID, key: String, isHeld: Bool = false) -> Admission {
        let now = Date()
        let task = TaskRecord(
            id: TaskID(at: now, random: (.random(in: 0 ... .max), .random(in: 0 ... .max))), tenant: tenant,
            project: TaskSubmission.projectDefault, principal: "ada", name: nil,
            workflow: TaskSubmission.workflowDefault, workflowVersion: 1, priority: 5, labels: [:], traceparent: nil,
            callback: nil, createdAt: now, overrides: TaskRecord.Overrides(timeoutSeconds: 60, attemptMax: 1),
            parent: nil, budgetTokens: isHeld ? 10 : nil, stage: 0, role: AgentRole(literal: "developer"),
            phase: .queued(runAt: now), updatedAt: now
        )
        return Admission(
            task: task, input: .emptyObject, events: [], outbox: [],
            key: IdempotencyKey(text: key, fingerprint: [UInt8](repeating: 7, count: 32)),
            hold: isHeld ? ReservationRequest(for: task) : nil, response: .emptyObject, location: "/tasks/\(task.id)",
            audit: AuditEntry(
                chain: .tenant(tenant), at: now, actor: "ada", actorRole: "developer", action: "submitTask",
                resource: task.id.description, outcome: .allowed
            )
        )
    }
}
