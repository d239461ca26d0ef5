internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import Storage

/// Comes back to what nobody else would: leases past their deadlines, keys, holds and agents past their time.
///
/// Runs on the leading replica. Every correction is compared-and-set on the task's row, so that a late second leader
/// changes nothing twice.
struct Reconciler: Sendable {
    static let interval: Duration = .seconds(1)
    static let purgeInterval: Duration = .seconds(60)
    /// Rows dropped in one statement; a full one is followed by the next at once.
    static let purgeMax = 5000
    /// Shorter than a peer hub waits before it refuses the vote of an agent that nobody knows yet.
    static let agentsInterval: Duration = .seconds(5)

    let deadlines: DeadlineEnforcer
    let records: ReconciliationStore
    let budgets: BudgetStore
    let ledger: LedgerCheck
    let agentStore: AgentStore
    let agents: AgentDirectory
    let clock: SharedClock
    let logger: Logger

    init(stores: Stores, ledger: LedgerCheck, agents: AgentDirectory, changer: TaskChanger, logger: Logger) {
        deadlines = DeadlineEnforcer(records: stores.records, changer: changer)
        records = stores.records
        budgets = stores.budgets
        agentStore = stores.agents
        self.ledger = ledger
        self.agents = agents
        clock = changer.decider.clock
        self.logger = logger
    }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var resting = DeadlineEnforcer.Resting()
                try await repeated("deadlines", every: Self.interval) {
                    resting = try await deadlines.enforce(past: resting)
                }
            }
            group.addTask { try await repeated("expired keys", every: Self.purgeInterval) { try await purge() } }
            group.addTask {
                defer { ledger.endTerm() }
                try await repeated("ledger", every: LedgerCheck.interval, afterFailure: LedgerCheck.retryInterval) {
                    try await ledger.check()
                }
            }
            group.addTask { try await repeated("agents", every: Self.agentsInterval) { try await saveAgents() } }
            try await group.waitForAll()
        }
    }

    /// - Parameter afterFailure: when to try again what failed; after `interval` when nil.
    private func repeated(
        _ what: String, every interval: Duration, afterFailure: Duration? = nil, _ body: () async throws -> Void
    ) async throws {
        while true {
            var rest = interval
            do {
                try await body()
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("a reconciliation failed", metadata: ["of": "\(what)", "error": "\(error)"])
                rest = afterFailure ?? interval
            }
            try await Task.sleep(for: rest)
        }
    }

    private func purge() async throws {
        while try await records.purgeIdempotencyKeys(limit: Self.purgeMax) == Self.purgeMax {}
        while try await budgets.purgeSettled(limit: Self.purgeMax) == Self.purgeMax {}
    }

    private func saveAgents() async throws {
        let now = clock.now
        try await agentStore.save(
            agents.online().map { entry in
                let said = entry.announcement
                return KnownAgent(
                    agent: said.agent, roles: said.roles, slots: said.slots, owner: said.owner, version: said.version,
                    lastSeen: entry.heard(by: now)
                )
            }
        )
    }
}
