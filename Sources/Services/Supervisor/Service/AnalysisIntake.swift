internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage
internal import SupervisorCore

/// Takes what analysts answer. Who was asked is told by the work item's token, not by what a report says of itself.
final class AnalysisIntake: Service {
    /// Reports in hand at once; each is a transaction.
    static let batchMax = 16

    private let bus: MessageBus
    private let store: SupervisionStore
    private let herald: Herald
    private let instruments: SupervisorInstruments
    private let logger: Logger

    init(
        bus: MessageBus, store: SupervisionStore, herald: Herald, instruments: SupervisorInstruments, logger: Logger
    ) {
        self.bus = bus
        self.store = store
        self.herald = herald
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(
                .analyses, as: BusTopology.supervisorAnalyses, batchMax: Self.batchMax
            ) { batch in
                var settlements: [Settlement] = []
                for received in batch { settlements.append(try await self.take(received)) }
                self.herald.wake()
                return settlements
            }
        }
    }

    private func take(_ received: Received<AgentReport>) async throws -> Settlement {
        let report = received.message
        guard let escalation = Subject.analyzedEscalation(of: received.subject) else {
            return .giveUp(reason: "wrong_subject", error: "The subject names no escalation.")
        }
        let answer: JSON?
        switch report.body {
        case .progress: return .acknowledge
        case .failed, .rejected, .escalated: answer = nil
        case .completed(let output, _): answer = output
        }
        let ticket = AnalysisTicket(work: report.task, token: report.leaseToken)
        let outcome = try await store.answer(
            AnalysisReport(
                escalation: escalation, ticket: ticket, agent: report.agent, answer: answer,
                usageTokens: report.body.usage?.tokens ?? 0)
        ) { answer, form, escalation throws(JSONError) in
            try Analysis.step(answer, form: form, for: escalation)
        }
        instruments.analyzed(outcome)
        note(outcome, escalation, report, tenant: received.tenant)
        guard case .unknown = outcome else { return .acknowledge }
        return .giveUp(reason: "unknown_escalation", error: "There is no such escalation.")
    }

    private func note(
        _ outcome: AnalysisOutcome, _ escalation: EscalationID, _ report: AgentReport, tenant: TenantID?
    ) {
        var metadata: Logger.Metadata = ["escalation_id": "\(escalation)", "agent": "\(report.agent)"]
        switch outcome {
        case .taken(let step, let judged):
            metadata["step"] = "\(step.word)"
            logger.info("an analyst has answered", metadata: metadata)
            guard case .leaveToHuman(let reason) = step else { return }
            herald.alert(WaitingEscalation(judged, because: reason, now: Date()))
        case .unreadable(let why, let judged):
            metadata["error"] = "\(why)"
            logger.warning("an analyst's answer is none; a human decides", metadata: metadata)
            herald.alert(WaitingEscalation(judged, because: .answerRefused, now: Date()))
        case .foreign: logger.warning("an answer by who was not asked does not count", metadata: metadata)
        case .late, .unknown: logger.info("an answer that nobody waits for", metadata: metadata)
        }
    }
}
