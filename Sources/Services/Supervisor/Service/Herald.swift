internal import Bootstrap
internal import Contracts
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage
internal import SupervisorCore
internal import Synchronization

/// Says what the table says is to be said: decisions to orchestrators, questions to analysts.
///
/// It keeps nothing: what was stored and not said, by this replica or a dead one, is found and said under the same id.
final class Herald: Service {
    static let interval: Duration = .milliseconds(500)
    /// Decisions, and questions, said in one turn; a full turn is followed by the next at once.
    static let batchMax = 100
    static let workflow = WorkflowName(literal: "analysis")

    private let bus: MessageBus
    private let store: SupervisionStore
    private let prompts: GovernanceStore
    private let logger: Logger
    private let nudges: AsyncStream<Void>
    private let nudge: AsyncStream<Void>.Continuation
    /// Those that were read; their texts are not read again while they stay active.
    private let known = Mutex<[AgentRole: RolePrompt]>([:])

    init(bus: MessageBus, store: SupervisionStore, prompts: GovernanceStore, logger: Logger) {
        self.bus = bus
        self.store = store
        self.prompts = prompts
        self.logger = logger
        (nudges, nudge) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// There is something to say now.
    func wake() { nudge.yield() }

    /// Tells people, who may miss it: what they have to do stands in the table.
    func alert(_ waiting: WaitingEscalation) {
        logger.notice(
            "an escalation waits for a human",
            metadata: [
                "escalation_id": "\(waiting.id)", "task_id": "\(waiting.task)", "tenant": "\(waiting.tenant)",
                "severity": "\(waiting.severity.rawValue)", "reason": "\(waiting.reason)",
            ])
        do { try bus.send(waiting.alert, on: .alert(waiting.severity)) } catch {
            logger.warning("an alert was not sent", metadata: ["error": "\(error)"])
        }
    }

    func run() async throws {
        try await runUntilShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while true {
                        self.wake()
                        try await Task.sleep(for: Self.interval, tolerance: .milliseconds(50))
                    }
                }
                group.addTask { for await _ in self.nudges { try await self.sayAll() } }
                try await group.next()
                group.cancelAll()
            }
        }
    }

    private func sayAll() async throws {
        do {
            while try await sayDecisions() == Self.batchMax {}
            while try await ask() == Self.batchMax {}
        } catch {
            try Task.checkCancellation()
            logger.warning("what was decided is not said; it is said again", metadata: ["error": "\(error)"])
        }
    }

    private func sayDecisions() async throws -> Int {
        let pending = try await store.unpublished(limit: Self.batchMax)
        for one in pending {
            let notice = one.notice
            _ = try await bus.publish(
                notice, on: .resolution(notice.task), id: notice.messageID, traceparent: one.traceparent,
                tenant: notice.tenant
            )
        }
        try await store.markPublished(pending.map(\.notice.escalation))
        return pending.count
    }

    private func ask() async throws -> Int {
        let requests = try await store.unsent(materialBytesMax: Analysis.Material.bytesMax, limit: Self.batchMax)
        guard !requests.isEmpty else { return 0 }
        let prompt = try await prompt()
        for request in requests {
            let item = Self.item(request, prompt)
            _ = try await bus.publish(
                item, on: .work(item.role), id: "\(item.task).\(item.attempt)",
                traceparent: request.escalation.traceparent, tenant: item.tenant
            )
        }
        try await store.markSent(requests.map(\.escalation.id))
        return requests.count
    }

    private func prompt() async throws -> RolePrompt? {
        let active = try await prompts.activePrompts(known: known.withLock { $0 })
        known.withLock { $0 = active }
        return active[SupervisorRules.analyst]
    }

    private static func item(_ request: AnalysisRequest, _ prompt: RolePrompt?) -> WorkItem {
        let input = Analysis.question(
            request.escalation, classification: request.classification, form: request.form,
            material: Analysis.Material(input: request.input, made: request.made)
        )
        return WorkItem(
            task: request.ticket.work, tenant: request.escalation.tenant, workflow: workflow, stage: "analysis",
            kind: "analysis", role: SupervisorRules.analyst, attempt: 1, leaseToken: request.ticket.token,
            deadline: request.deadline, budgetLeft: request.escalation.budgetLeft.map { max($0, 0) },
            prompt: prompt?.content, promptVersion: prompt?.version, input: input,
            reply: .analysis(request.escalation.id)
        )
    }
}
