internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import MessageBus
internal import OrchestratorCore
internal import Postgres
internal import ServiceLifecycle
internal import Storage

/// Applies agents' reports in batches: one transaction for all that arrived while the last one ran.
final class ReportApplier: Service {
    /// Reports in one transaction.
    static let batchMax = 256
    /// A report that comes right after others waits for company, at most that long.
    static let pace = Pace(interval: .milliseconds(5))

    private let bus: MessageBus
    private let recent: RecentTasks
    private let changer: TaskChanger

    private var decider: Decider { changer.decider }

    init(bus: MessageBus, recent: RecentTasks, changer: TaskChanger) {
        self.bus = bus
        self.recent = recent
        self.changer = changer
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(.allResults, as: BusTopology.orchestratorResults, batchMax: Self.batchMax) {
                try await self.apply($0)
            }
        }
    }

    private struct Applied: Sendable {
        var refused: [TaskMachine.Reason: Int] = [:]
        /// Tasks that do not exist.
        var unknown: Set<TaskID> = []
        /// Tasks that are as they were, and why.
        var failed: [TaskID: any Error] = [:]
        /// About tasks whose workflows this replica has not met yet.
        var unread: [AgentReport] = []
        /// Tasks as they were, whose attempt is over.
        var attempted: [TaskRecord] = []

        /// Where nothing could be written the cause may lie elsewhere: then the bus keeps the messages until something
        /// can. Not so for locks, which the messages wait for.
        func failureOfAll(_ reports: [AgentReport]) -> (any Error)? {
            if failed.isEmpty || reports.contains(where: { failed[$0.task] == nil }) { return nil }
            return failed.values.first { ($0 as? PostgresError)?.isLockTimeout != true }
        }

        /// Adds what became of other reports.
        mutating func add(_ other: Applied) {
            refused.merge(other.refused, uniquingKeysWith: +)
            unknown.formUnion(other.unknown)
            failed.merge(other.failed) { $1 }
            unread += other.unread
            attempted += other.attempted
        }
    }

    private func apply(_ batch: [Received<AgentReport>]) async throws -> [Settlement] {
        let start = ContinuousClock.now
        let reports = batch.map(\.message)
        var applied = try await apply(reports)
        if !applied.unread.isEmpty {
            try await decider.workflows.meet(Array(Set(applied.unread.map(\.task))))
            let rest = try await apply(applied.unread)
            applied.unknown.formUnion(rest.unknown.union(rest.unread.map(\.task)))
            applied.failed.merge(rest.failed) { $1 }
        }
        if let cause = applied.failureOfAll(reports) { throw cause }
        if batch.count < Self.batchMax { await Self.pace.rest(since: start) }
        return batch.map { received in
            let task = received.message.task
            if let error = applied.failed[task] { return .later(error, after: received.deliveryCount) }
            guard applied.unknown.contains(task) else { return .acknowledge }
            return .giveUp(reason: "unknown_task", error: "No task \(task) exists.")
        }
    }

    private func apply(_ reports: [AgentReport]) async throws -> Applied {
        let ids = Set(reports.map(\.task))
        var left = ids
        var applied = Applied()
        // Of tenants that are set apart some row may be locked: others' are not to wait for it.
        let known = (recent.all(Array(ids)) ?? []).filter { !changer.tasks.isApart($0.tenant) }
        if !known.isEmpty, let remembered = try await applyRemembered(reports, to: known) {
            applied = remembered
            left.subtract(known.map(\.id))
        }
        if !left.isEmpty {
            let rest = try await applyLocked(reports, to: Array(left))
            applied.add(rest)
        }
        for task in applied.attempted { changer.instruments.attemptEnded(task) }
        for (reason, count) in applied.refused { changer.instruments.reportsRefused(reason.rawValue, count) }
        return applied
    }

    /// Decides on rows as this replica remembers them; nil when that leaves anything in doubt, and then nothing was
    /// done. Only the truth can refuse a report: what a memory would refuse is left to the row itself.
    private func applyRemembered(_ reports: [AgentReport], to known: [TaskRecord]) async throws -> Applied? {
        let (outcome, applied) = Self.decide(reports, known, decider, decider.clock.now)
        guard applied.refused.isEmpty, applied.unread.isEmpty else { return nil }
        guard try await changer.tasks.write(outcome.changes) else {
            recent.forget(known.map(\.id))
            return nil
        }
        changer.carryOut(outcome)
        return applied
    }

    private func applyLocked(_ reports: [AgentReport], to ids: [TaskID]) async throws -> Applied {
        let changed = try await changer.change(ids) { [decider] locked, now in
            let (outcome, applied) = Self.decide(reports, locked, decider, now)
            return (outcome, (applied, locked.map(\.id)))
        }
        var applied = Applied()
        applied.failed = changed.failed
        applied.unknown = Set(ids).subtracting(changed.failed.keys)
        for (_, (part, found)) in changed.done {
            applied.add(part)
            applied.unknown.subtract(found)
        }
        return applied
    }

    /// Folds the reports, in their order, over the tasks they are about. Those about other tasks are passed over.
    private static func decide(
        _ reports: [AgentReport], _ locked: [TaskRecord], _ decider: Decider, _ now: Date
    ) -> (Outcome, Applied) {
        var outcome = Outcome()
        var applied = Applied()
        var tasks = Dictionary(uniqueKeysWithValues: locked.map { ($0.id, $0) })
        var effects: [TaskID: [TaskMachine.Effect]] = [:]
        for report in reports {
            guard let task = tasks[report.task] else { continue }
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
            outcome.add(after, more, previousSequence: before.eventSequence)
            if before.lease != nil, after.lease?.token != before.lease?.token { applied.attempted.append(before) }
        }
        return (outcome, applied)
    }
}
