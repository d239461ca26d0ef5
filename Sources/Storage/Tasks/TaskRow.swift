internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Reads a `tasks` row selected with `TaskRow.columns`.
enum TaskRow {
    /// In the order `read` expects; the table's alias is `t`.
    static let columns = """
        t.id, t.tenant_id, t.project_id, t.principal, t.name, t.workflow, t.workflow_version, t.priority, \
        t.labels::json, t.traceparent, t.created_at, t.timeout_seconds, t.attempt_max, \
        t.stage, t.role, t.attempt, t.stage_attempt, \
        t.event_seq, t.progress_seen, t.usage_tokens, t.agent, t.updated_at, t.state, t.run_at, t.lease_token, \
        t.dispatched_at, t.deadline, t.cancel_reason, t.error_code, t.error_message, t.ended_at, \
        t.parent_id, t.budget_tokens, t.attempt_tokens, t.callback_url, t.prompt_version, \
        t.rework, t.plan, t.draft IS NOT NULL, t.review_round, t.draft_agent, t.draft_role, t.draft_attempt, \
        t.draft_prompt_version
        """
    /// The first column after `columns`.
    static let count: Int = 44

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskRecord {
        TaskRecord(
            id: TaskID(try row.uuid(0)),
            tenant: try row.name(1), project: try row.name(2), principal: try row.text(3), name: try row.textOrNil(4),
            workflow: try row.name(5), workflowVersion: try row.int(6), priority: try row.int(7),
            labels: try labels(row), traceparent: try row.textOrNil(9),
            callback: try row.textOrNil(34).flatMap { WebhookURL($0) }, createdAt: try row.timestamp(10),
            overrides: TaskRecord.Overrides(timeoutSeconds: try row.int(11), attemptMax: try row.int(12)),
            parent: try row.uuidOrNil(31).map { TaskID($0) }, budgetTokens: try row.intOrNil(32),
            stage: try row.int(13), role: try row.name(14), phase: try phase(row), attempt: try row.int(15),
            stageAttempt: try row.int(16), eventSequence: try row.int(17), progressSeen: try row.int(18),
            usageTokens: try row.int(19), attemptTokens: try row.int(33),
            promptVersion: try row.intOrNil(35),
            agent: try row.textOrNil(20).flatMap { AgentID($0) }, updatedAt: try row.timestamp(21),
            rework: try row.int(36), plan: try row.parsedJSONOrNil(37), draft: try row.bool(38) ? .stored : nil,
            author: try author(row), reviewRound: try row.int(39)
        )
    }

    private static func author(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskRecord.Author? {
        guard let agent = try row.textOrNil(40).flatMap({ AgentID($0) }) else { return nil }
        return TaskRecord.Author(
            agent: agent, role: try row.name(41), attempt: try row.int(42), promptVersion: try row.intOrNil(43))
    }

    static func labels(
        _ row: borrowing PostgresRow, column: Int = 8
    ) throws(PostgresError) -> [String: String] {
        let bytes = try row.json(column)
        if bytes.count == 2 { return [:] }
        let json = try row.parsedJSON(column)
        return Dictionary((json.fields ?? []).map { ($0.name, $0.value.string ?? "") }) { first, _ in first }
    }

    private static func phase(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskRecord.Phase {
        let text = try row.text(22)
        guard let state = TaskState(rawValue: text) else { throw unreadable("tasks.state is \(text)") }
        switch state {
        case .queued: return .queued(runAt: try row.timestamp(23))
        case .developing, .deploying: return .running(state, try lease(row))
        case .testing: return .waiting(.execution, try lease(row))
        case .reviewing: return .waiting(.review, try lease(row))
        case .awaitingApproval: return .waiting(.approval, try lease(row))
        case .escalated: return .waiting(.resolution, try lease(row))
        case .canceling: return .canceling(try lease(row), reason: try row.text(27))
        case .completed: return .ended(.completed(output: nil), at: try row.timestamp(30))
        case .failed:
            return .ended(.failed(code: try row.text(28), message: try row.text(29)), at: try row.timestamp(30))
        case .canceled: return .ended(.canceled(reason: try row.text(27)), at: try row.timestamp(30))
        case .rejected: return .ended(.rejected(reason: try row.text(29)), at: try row.timestamp(30))
        }
    }

    private static func lease(_ row: borrowing PostgresRow) throws(PostgresError) -> TaskRecord.Lease {
        TaskRecord.Lease(
            token: try row.text(24), dispatchedAt: try row.timestamp(25), deadline: try row.timestamp(26)
        )
    }

    static func unreadable(_ what: String) -> PostgresError {
        PostgresError(
            .decoding, "\(what), which this build cannot read. Nothing was changed; is a newer build running?")
    }
}

extension PostgresRow {
    borrowing func name<Kind>(_ column: Int) throws(PostgresError) -> Name<Kind> {
        let text = try text(column)
        guard let name = Name<Kind>(text) else { throw TaskRow.unreadable("\(text) is not a name") }
        return name
    }

    borrowing func parsedJSON(_ column: Int) throws(PostgresError) -> JSON {
        let bytes = try json(column)
        do { return try JSON(parsing: bytes) } catch { throw TaskRow.unreadable("A JSON column is damaged (\(error))") }
    }

    borrowing func parsedJSONOrNil(_ column: Int) throws(PostgresError) -> JSON? {
        try isNull(column) ? nil : try parsedJSON(column)
    }
}

/// The columns of one task that change after admission.
struct TaskColumns {
    let state: TaskState
    var runAt: Date?
    var leaseToken: String?
    var dispatchedAt: Date?
    var deadline: Date?
    var cancelReason: String?
    var errorCode: String?
    var errorMessage: String?
    var output: JSON?
    /// Nil leaves the stored draft as it is, until the task ends.
    var draft: JSON?
    var endedAt: Date?

    init(_ task: TaskRecord) {
        state = task.state
        switch task.draft {
        case .new(let draft): self.draft = draft
        case .stored, nil: draft = nil
        }
        switch task.phase {
        case .queued(let runAt): self.runAt = runAt
        case .running(_, let lease), .waiting(_, let lease): setLease(lease)
        case .canceling(let lease, let reason):
            setLease(lease)
            cancelReason = reason
        case .ended(let ending, let at):
            endedAt = at
            switch ending {
            case .completed(let output): self.output = output
            case .failed(let code, let message): (errorCode, errorMessage) = (code, message)
            case .canceled(let reason): cancelReason = reason
            case .rejected(let reason): (errorCode, errorMessage) = ("rejected", reason)
            }
        }
    }

    private mutating func setLease(_ lease: TaskRecord.Lease) {
        leaseToken = lease.token
        dispatchedAt = lease.dispatchedAt
        deadline = lease.deadline
    }
}
