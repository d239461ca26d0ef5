internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import ServiceLifecycle
internal import Storage

/// Carries out what supervisors decided about escalated tasks.
///
/// A message only says that there is a decision; what is carried out stands in the escalation's row, because anybody on
/// the bus could send the message. The task's machine fences it by the escalation's id: whoever resolves first, a human
/// or the supervisor, is the only one.
final class ResolutionApplier: Service {
    /// Decisions in hand at once.
    static let batchMax = 32
    /// Who resolved it, in the escalation and in the task's history.
    static let principal = "supervisor"

    private let bus: MessageBus
    private let escalations: EscalationStore
    private let judge: TaskJudge
    private let logger: Logger

    init(bus: MessageBus, escalations: EscalationStore, judge: TaskJudge, logger: Logger) {
        self.bus = bus
        self.escalations = escalations
        self.judge = judge
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(
                .resolutions, as: BusTopology.orchestratorResolutions, batchMax: Self.batchMax
            ) { try await self.apply($0) }
        }
    }

    private func apply(_ batch: [Received<ResolutionNotice>]) async throws -> [Settlement] {
        try await withThrowingTaskGroup(of: (Int, Settlement).self) { group in
            for (index, received) in batch.enumerated() {
                group.addTask { (index, try await self.apply(received)) }
            }
            var settlements = [Settlement](repeating: .acknowledge, count: batch.count)
            for try await (index, settlement) in group { settlements[index] = settlement }
            return settlements
        }
    }

    /// What one task's row stands in the way of keeps no other waiting.
    private func apply(_ received: Received<ResolutionNotice>) async throws -> Settlement {
        do { return try await apply(received.message) } catch let error where error.isFaultOfSomeRow {
            return .later(error, after: received.deliveryCount)
        }
    }

    private func apply(_ notice: ResolutionNotice) async throws -> Settlement {
        let metadata: Logger.Metadata = ["task_id": "\(notice.task)", "escalation_id": "\(notice.escalation)"]
        let decision = try await escalations.decision(
            on: notice.escalation, task: notice.task, tenant: notice.tenant)
        guard let decision else {
            // Resolved by now, most likely: a decision is said until it is carried out.
            logger.debug("no decision stands behind a resolution", metadata: metadata)
            return .acknowledge
        }
        let event = TaskMachine.Event.escalationResolved(
            notice.escalation, by: Self.principal, decision,
            usageTokens: try await escalations.analysisTokens(of: notice.escalation))
        switch try await judge.apply(event, to: notice.task, tenant: notice.tenant, lockTries: 1) {
        case .changed:
            logger.info(
                "resolved an escalation",
                metadata: metadata.merging(["resolution": "\(decision.word.rawValue)"]) { $1 })
        case .unchanged(_, let reason):
            switch reason {
            case .nothingMade, .budgetUsedUp:
                logger.notice(
                    "a task cannot take its resolution",
                    metadata: metadata.merging(["reason": "\(reason.rawValue)"]) { $1 })
                if let waiting = try await escalations.handBack(notice.escalation) { alert(waiting, metadata) }
            case .lost, .wrongLease, .repeated, .tooMuch, .ended, .notApplicable: break
            }
        case .unknown: return .giveUp(reason: "unknown_task", error: "No task \(notice.task) exists.")
        }
        return .acknowledge
    }

    /// Tells people, as supervisors do of what they leave to them. Who misses it finds it in the table.
    private func alert(_ waiting: WaitingEscalation, _ metadata: Logger.Metadata) {
        do { try bus.send(waiting.alert, on: .alert(waiting.severity)) } catch {
            logger.warning("an alert was not sent", metadata: metadata.merging(["error": "\(error)"]) { $1 })
        }
    }
}
