internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage
internal import SupervisorCore

/// Judges escalations as they are heard of. Any replica takes any message; what another has in hand, or has judged
/// already, is left alone.
final class EscalationIntake: Service {
    /// Escalations judged in one transaction.
    static let batchMax = 64

    private let bus: MessageBus
    private let store: SupervisionStore
    private let rules: SupervisorRules
    private let herald: Herald
    private let instruments: SupervisorInstruments
    private let logger: Logger

    init(
        bus: MessageBus, store: SupervisionStore, rules: SupervisorRules, herald: Herald,
        instruments: SupervisorInstruments, logger: Logger
    ) {
        self.bus = bus
        self.store = store
        self.rules = rules
        self.herald = herald
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(
                .escalations, as: BusTopology.supervisorEscalations, batchMax: Self.batchMax
            ) { batch in
                _ = try await self.meet(batch.map(\.message.escalation))
                return [Settlement](repeating: .acknowledge, count: batch.count)
            }
        }
    }

    /// Judges those escalations, or when nil those whose message was lost; answers how many.
    func meet(_ ids: [EscalationID]?) async throws -> Int {
        let met = try await store.meet(ids, limit: Self.batchMax, ticket: Self.ticket) { [rules] in
            rules.plan(for: $0)
        }
        for met in met { note(met) }
        if !met.isEmpty { herald.wake() }
        return met.count
    }

    private func note(_ met: MetEscalation) {
        instruments.met(met)
        logger.info(
            "judged an escalation",
            metadata: [
                "escalation_id": "\(met.escalation.id)", "task_id": "\(met.escalation.task)",
                "tenant": "\(met.escalation.tenant)", "classification": "\(met.plan.classification.rawValue)",
                "step": "\(met.plan.step.word)", "trace_id": "\(TraceContext.id(of: met.escalation.traceparent))",
            ])
        guard case .leaveToHuman(let reason) = met.plan.step else { return }
        herald.alert(WaitingEscalation(met.escalation, because: reason, now: Date()))
    }

    /// 128 bits of the system's generator: nobody answers for an analyst by guessing.
    @Sendable private static func ticket() -> AnalysisTicket {
        let random = { UInt64.random(in: 0 ... .max) }
        return AnalysisTicket(
            work: TaskID(at: Date(), random: (random(), random())),
            token: Hexadecimal.text(random()) + Hexadecimal.text(random())
        )
    }
}

extension WaitingEscalation {
    /// One that has begun to wait just now.
    init(_ escalation: EscalationCase, because reason: HumanReason, now: Date) {
        self.init(
            id: escalation.id, tenant: escalation.tenant, task: escalation.task, severity: .info,
            reason: reason.rawValue, since: now
        )
    }
}
