internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import ServiceLifecycle
internal import Storage

/// Applies agents' reports in batches: one transaction for all that arrived while the last one ran.
final class ReportApplier: Service {
    /// Reports in one transaction.
    static let batchMax = 256
    /// A report that comes right after others waits for company, at most that long.
    static let pace = Pace(interval: .milliseconds(5))

    private let bus: MessageBus
    private let tasks: TaskStore
    private let recent: RecentTasks
    private let decider: Decider
    private let dispatcher: Dispatcher
    private let instruments: Instruments
    private let logger: Logger

    init(
        bus: MessageBus, tasks: TaskStore, recent: RecentTasks, decider: Decider, dispatcher: Dispatcher,
        instruments: Instruments, logger: Logger
    ) {
        self.bus = bus
        self.tasks = tasks
        self.recent = recent
        self.decider = decider
        self.dispatcher = dispatcher
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(.allResults, as: BusTopology.orchestratorResults, batchMax: Self.batchMax) {
                try await self.apply($0)
            }
        }
    }

    private struct Applied: Sendable {
        var outcome = Outcome()
        var refused: [TaskMachine.Reason: Int] = [:]
        var unknown: Set<TaskID> = []
        /// About tasks whose workflows this replica has not met yet.
        var unread: [AgentReport] = []
        /// Tasks as they were, whose attempt is over.
        var attempted: [TaskRecord] = []
    }

    private func apply(_ batch: [Received<AgentReport>]) async throws -> [Settlement] {
        let start = ContinuousClock.now
        let reports = batch.map(\.message)
        var applied = try await apply(reports)
        if !applied.unread.isEmpty {
            try await decider.workflows.meet(Array(Set(applied.unread.map(\.task))))
            let rest = try await apply(applied.unread)
            applied.unknown.formUnion(rest.unknown.union(rest.unread.map(\.task)))
        }
        if batch.count < Self.batchMax { await Self.pace.rest(since: start) }
        return reports.map { report in
            guard applied.unknown.contains(report.task) else { return .acknowledge }
            return .giveUp(reason: "unknown_task", error: "No task \(report.task) exists.")
        }
    }

    private func apply(_ reports: [AgentReport]) async throws -> Applied {
        let ids = Array(Set(reports.map(\.task)))
        let applied: Applied
        if let remembered = try await applyRemembered(reports, to: ids) {
            applied = remembered
        } else {
            applied = try await applyLocked(reports, to: ids)
        }
        dispatcher.carryOut(applied.outcome)
        instruments.count(applied.outcome.events, of: applied.outcome.changes)
        for task in applied.attempted { instruments.attemptEnded(task) }
        for (reason, count) in applied.refused { instruments.reportsRefused(reason.rawValue, count) }
        return applied
    }

    /// Decides on the rows as this replica remembers them; nil when that leaves anything in doubt, and then nothing was
    /// done. Only the truth can refuse a report: what a memory would refuse is left to the row itself.
    private func applyRemembered(_ reports: [AgentReport], to ids: [TaskID]) async throws -> Applied? {
        guard let known = recent.all(ids) else { return nil }
        let applied = Self.decide(reports, known, decider, decider.clock.now)
        guard applied.refused.isEmpty, applied.unread.isEmpty else { return nil }
        guard try await tasks.write(applied.outcome.changes) else {
            recent.forget(ids)
            return nil
        }
        return applied
    }

    private func applyLocked(_ reports: [AgentReport], to ids: [TaskID]) async throws -> Applied {
        let now = decider.clock.now
        return try await tasks.change(ids) { [decider] locked in
            let applied = Self.decide(reports, locked, decider, now)
            return (applied.outcome.changes, applied)
        }
    }

    /// Folds the reports, in their order, over the tasks they are about.
    private static func decide(
        _ reports: [AgentReport], _ locked: [TaskRecord], _ decider: Decider, _ now: Date
    ) -> Applied {
        var applied = Applied()
        var tasks = Dictionary(uniqueKeysWithValues: locked.map { ($0.id, $0) })
        var effects: [TaskID: [TaskMachine.Effect]] = [:]
        for report in reports {
            guard let task = tasks[report.task] else {
                applied.unknown.insert(report.task)
                continue
            }
            guard let context = decider.context(task, now: now) else {
                applied.unread.append(report)
                continue
            }
            switch TaskMachine.decide(task, .reported(report), context: context) {
            case .changed(let next, let more):
                tasks[task.id] = next
                effects[task.id, default: []] += more
            case .unchanged(let reason): applied.refused[reason, default: 0] += 1
            }
        }
        for before in locked {
            guard let after = tasks[before.id], let more = effects[before.id] else { continue }
            applied.outcome.add(after, more, previousSequence: before.eventSequence)
            if before.lease != nil, after.lease?.token != before.lease?.token { applied.attempted.append(before) }
        }
        return applied
    }
}
