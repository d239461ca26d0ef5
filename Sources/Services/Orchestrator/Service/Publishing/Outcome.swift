internal import Contracts
internal import OrchestratorCore
internal import Storage

/// What one transaction decided: rows to write, and what is left to do once they are committed.
struct Outcome: Sendable {
    private(set) var changes: [TaskChange] = []
    private(set) var events: [TaskEvent] = []
    private(set) var outbox: [OutboxMessage] = []
    private(set) var notices: [CancelNotice] = []
    /// Tasks that now wait for their peers.
    private(set) var reviews: [TaskID] = []
    /// Tasks that now wait for the sandbox.
    private(set) var executions: [TaskID] = []
    /// Runs that nobody waits for any more.
    private(set) var stoppedExecutions: [TaskExecution] = []
    private(set) var queued: [DispatchHint.Count: Int] = [:]
    private(set) var freed: [DispatchHint.Count: Int] = [:]
    /// Tasks that were left as they are, because this replica has not met their workflows yet.
    private(set) var unread: [TaskRecord] = []

    mutating func leaveUnread(_ task: TaskRecord) { unread.append(task) }

    /// Takes over what the machine decided about one task.
    mutating func add(_ task: TaskRecord, _ effects: [TaskMachine.Effect], previousSequence: Int) {
        var events: [TaskEvent] = []
        var outbox: [OutboxMessage] = []
        var filed: [FiledEscalation] = []
        var settled: [SettledEscalation] = []
        var judged: [PromptReview] = []
        var withdrawn: [String] = []
        for effect in effects {
            switch effect {
            case .record(let event): events.append(event)
            case .hand(let item): outbox.append(OutboxMessage(item, traceparent: task.trace))
            case .withdraw(let attempt): withdrawn.append(OutboxMessage.workID(task.id, attempt: attempt))
            case .stop(let notice): notices.append(notice)
            case .execute: executions.append(task.id)
            case .stopExecution(let id): stoppedExecutions.append(TaskExecution(id: id, tenant: task.tenant))
            case .review: reviews.append(task.id)
            case .closeReview(let closing): outbox.append(OutboxMessage(closing, traceparent: task.trace))
            case .keep(let review): judged.append(review)
            case .queue(let role, _): queued[DispatchHint.Count(role: role, tenant: task.tenant), default: 0] += 1
            case .free(let role): freed[DispatchHint.Count(role: role, tenant: task.tenant), default: 0] += 1
            case .escalate(let id, let cause):
                filed.append(FiledEscalation(id: id, cause: cause))
                outbox.append(OutboxMessage(escalated: task, id, cause))
            case .settle(let id, let settlement):
                settled.append(SettledEscalation(id: id, resolution: settlement.resolution, by: settlement.by))
            }
        }
        self.events += events
        self.outbox += outbox
        changes.append(
            TaskChange(
                previousSequence: previousSequence, task: task, events: events, outbox: outbox, filed: filed,
                settled: settled, judged: judged, withdrawn: withdrawn
            ))
    }
}

extension OutboxMessage {
    /// Tells the supervisor of an escalation; a lost one is made up for by its sweep.
    init(escalated task: TaskRecord, _ id: EscalationID, _ cause: EscalationCause) {
        let notice = EscalationNotice(
            escalation: id, tenant: task.tenant, task: task.id, attempt: task.attempt, role: task.role,
            source: cause.source.rawValue, failedGuard: cause.failedGuard
        )
        self.init(
            messageID: notice.messageID, subject: Subject.escalation.text, payload: notice.json, tenant: task.tenant,
            task: task.id, traceparent: task.trace
        )
    }

    /// The name of an attempt's work; `OverdueTasks` knows it, too.
    static func workID(_ task: TaskID, attempt: Int) -> String { "\(task).\(attempt)" }

    /// The work message of one attempt.
    ///
    /// - Parameter derivation: set when the bus has lost the first one, so that the duplicate window lets it through.
    init(_ item: WorkItem, traceparent: String?, derivation: Int? = nil) {
        self.init(
            messageID: Self.workID(item.task, attempt: item.attempt) + (derivation.map { ".r\($0)" } ?? ""),
            subject: Subject.work(item.role).text, payload: item.json, tenant: item.tenant, task: item.task,
            traceparent: traceparent
        )
    }

    /// Tells the peer hub that nobody waits for a session any more.
    init(_ closing: ReviewCancellation, traceparent: String?) {
        self.init(
            messageID: "\(closing.session).cancel", subject: Subject.reviewCancel(closing.session).text,
            payload: closing.json, tenant: closing.tenant, task: closing.task, traceparent: traceparent
        )
    }
}
