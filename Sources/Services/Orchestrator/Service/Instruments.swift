internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Storage

/// What the orchestrator counts, by the names that alerts and autoscaling use.
struct Instruments: Sendable {
    private let created: CounterFamily
    private let completed: Counter
    private let failed: CounterFamily
    private let retried: Counter
    private let duration: Histogram
    private let refused: CounterFamily
    private let decisions: CounterFamily
    private let active: Gauge
    private let depth: Gauge
    private let tracer: Tracer

    init(_ registry: MetricsRegistry, tracer: Tracer = .off) {
        self.tracer = tracer
        created = registry.counter("tasks_created_total", "Tasks accepted, by workflow.", labels: ["workflow"])
        completed = registry.counter("tasks_completed_total", "Tasks that ended as completed.")[]
        failed = registry.counter(
            "tasks_failed_total", "Tasks that ended otherwise, by state (failed, canceled, rejected).",
            labels: ["state"]
        )
        // From zero on, so that the failure rate sees the first one.
        _ = failed["failed"]
        retried = registry.counter("tasks_retried_total", "Attempts that were followed by another.")[]
        duration = registry.histogram("task_duration_seconds", "From acceptance to the end of a task.")[]
        refused = registry.counter(
            "agent_reports_refused_total", "Reports that changed nothing, by reason (lost, ended, repeated, …).",
            labels: ["reason"]
        )
        decisions = registry.counter(
            "review_decisions_refused_total", "Decisions of reviews that changed nothing, by reason (lost, ended, …).",
            labels: ["reason"]
        )
        active = registry.gauge("orchestrator_active_tasks", "Tasks handed out and not ended, seen by the leader.")[]
        depth = registry.gauge("orchestrator_task_queue_depth", "Tasks due and waiting, seen by the leader.")[]
    }

    /// Counts what was committed.
    func count(_ events: [TaskEvent], of changes: [TaskChange]) {
        for event in events {
            switch event.kind {
            case .created: break
            case .completed: completed.add()
            case .failed, .canceled, .rejected: failed[String(event.kind.rawValue.dropFirst(5))].add()
            case .retrying: retried.add()
            case .dispatched, .progress, .stageCompleted, .canceling: break
            case .reworking, .approvalRequested, .approved, .escalated, .resolved: break
            case .reviewRequested, .reviewDecided, .executionRequested, .executed: break
            }
        }
        for change in changes {
            if case .ended(_, let at) = change.task.phase {
                duration.observe(at.timeIntervalSince(change.task.createdAt))
                trace(change.task, endedAt: at)
            }
            if change.previousSequence == 0 { created[change.task.workflow.text].add() }
        }
    }

    private func trace(_ task: TaskRecord, endedAt end: Date) {
        guard tracer.isOn, let request = task.request, let context = task.traceContext else { return }
        let attributes = [("task_id", "\(task.id)"), ("state", task.state.rawValue)]
        tracer.record(
            "task", .work, as: context, parent: request.spanID, from: task.createdAt, to: end, attributes: attributes,
            isFailed: task.state == .failed)
    }

    /// An attempt whose report was accepted.
    func attemptEnded(_ task: TaskRecord) {
        guard tracer.isOn, let lease = task.lease else { return }
        let attributes = [
            ("task_id", "\(task.id)"), ("attempt", "\(task.attempt)"), ("role", task.role.text),
            ("agent", task.agent?.text ?? ""),
        ]
        tracer.record(
            "task attempt", under: task.trace, from: lease.dispatchedAt, attributes: attributes)
    }

    func reportsRefused(_ reason: String, _ count: Int) { refused[reason].add(count) }

    func decisionsRefused(_ reason: String, _ count: Int) { decisions[reason].add(count) }

    /// What the leader counted in Postgres; queues count to their bound.
    func show(active: Int, queued: Int) {
        self.active.set(active)
        depth.set(queued)
    }
}
