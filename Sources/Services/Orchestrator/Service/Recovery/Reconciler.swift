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
    /// Tasks corrected in one transaction.
    static let batchMax = 500
    static let purgeInterval: Duration = .seconds(60)
    /// Rows dropped in one statement; a full one is followed by the next at once.
    static let purgeMax = 5000
    static let agentsInterval: Duration = .seconds(15)

    let tasks: TaskStore
    let records: ReconciliationStore
    let budgets: BudgetStore
    let ledger: LedgerCheck
    let agentStore: AgentStore
    let agents: AgentDirectory
    let decider: Decider
    let dispatcher: Dispatcher
    let instruments: Instruments
    let logger: Logger

    init(
        stores: Stores, ledger: LedgerCheck, agents: AgentDirectory, decider: Decider, dispatcher: Dispatcher,
        instruments: Instruments, logger: Logger
    ) {
        tasks = stores.tasks
        records = stores.records
        budgets = stores.budgets
        agentStore = stores.agents
        self.ledger = ledger
        self.agents = agents
        self.decider = decider
        self.dispatcher = dispatcher
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await repeated("deadlines", every: Self.interval) { try await enforceDeadlines() } }
            group.addTask { try await repeated("expired keys", every: Self.purgeInterval) { try await purge() } }
            group.addTask { try await repeated("ledger", every: LedgerCheck.interval) { try await ledger.check() } }
            group.addTask { try await repeated("agents", every: Self.agentsInterval) { try await saveAgents() } }
            try await group.waitForAll()
        }
    }

    private func repeated(
        _ what: String, every interval: Duration, _ body: @Sendable () async throws -> Void
    ) async throws {
        while true {
            do {
                try await body()
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("a reconciliation failed", metadata: ["of": "\(what)", "error": "\(error)"])
            }
            try await Task.sleep(for: interval)
        }
    }

    /// Ends or retries every attempt whose lease has passed its deadline.
    func enforceDeadlines() async throws {
        while true {
            let overdue = try await records.overdue(limit: Self.batchMax)
            if overdue.isEmpty { return }
            let now = decider.clock.now
            let outcome = try await tasks.change(overdue) { [decider] locked in
                var outcome = Outcome()
                for task in locked { decider.apply(.deadlinePassed, to: task, now: now, into: &outcome) }
                return (outcome.changes, outcome)
            }
            dispatcher.carryOut(outcome)
            instruments.count(outcome.events, of: outcome.changes)
            try await decider.workflows.meet(outcome.unread.map(\.id))
            // Nothing changed means that the clock is a little behind the database's: the next second will do.
            if outcome.changes.isEmpty || overdue.count < Self.batchMax { return }
        }
    }

    private func purge() async throws {
        while try await records.purgeIdempotencyKeys(limit: Self.purgeMax) == Self.purgeMax {}
        while try await budgets.purgeSettled(limit: Self.purgeMax) == Self.purgeMax {}
    }

    private func saveAgents() async throws {
        try await agentStore.save(
            agents.online().map { entry in
                let said = entry.announcement
                return KnownAgent(
                    agent: said.agent, roles: said.roles, slots: said.slots, owner: said.owner, version: said.version,
                    lastSeen: entry.heardAt
                )
            }
        )
    }
}
