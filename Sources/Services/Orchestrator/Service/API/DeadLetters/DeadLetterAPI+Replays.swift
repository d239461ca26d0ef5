internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Storage

/// Asking for replays and following them. A replay is a row that a dlq-worker carries out, so that it survives both.
extension DeadLetterAPI {
    static let rateRange = 1...100_000
    static let rateDefault = 1000
    static let noteMax = 500
    static let sampleMax = 10
    static let replaysMax = 100
    /// An edited message, with room for JSON's escapes.
    static let replayBytesMax = 6 << 20
    /// How long the replay of one letter is waited for.
    static let oneTimeout: Duration = .seconds(3)
    static let pollInterval: Duration = .milliseconds(100)
    /// Nobody's name: whoever makes a new task of a letter does it under the same key.
    private static let keyOwner = ""

    // MARK: One letter

    func replayOne(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let letter = try await find(context).letter
        guard letter.resolution == nil else { throw Self.resolvedBefore }
        var payload: JSON?
        var note: String?
        if let json = try await request.readOptionalJSON(limit: Self.replayBytesMax) {
            var body = try JSONReader(json)
            payload = try Self.payload(&body, of: letter.tenant ?? principal.tenant)
            note = try body.optionalText("note", max: Self.noteMax)
            try body.refuseUnknown()
        }
        if let response = try await submitAnew(letter, edited: payload, principal, context) { return response }
        let replay = try await begin(
            DeadLetterFilter(ids: [letter.id]), payload: payload?.text, rate: 1, note: note, principal)
        // A worker looks four times a second; who does not want to wait follows the replay.
        let ended = try await follow(replay, tenant: principal.tenant, until: .now + Self.oneTimeout)
        return .json(
            DeadLetterView.replay(ended),
            status: ended.state == .done ? .ok : .accepted, headers: [.location: "/dlq/replays/\(replay.id)"]
        )
    }

    /// What was edited must be a message of this build's form, and nobody else's: its consumer believes what it says of
    /// its tenant. Whether its consumer takes it, the consumer says.
    private static func payload(_ body: inout JSONReader, of tenant: TenantID) throws(JSONError) -> JSON? {
        guard let payload = body.optional("payload") else { return nil }
        var message = try JSONReader(payload, path: "payload")
        try message.requireVersion()
        if let named = try message.optionalString("tenant"), named != tenant.text {
            throw message.error("tenant", "must be \(tenant.text), whose letter it is")
        }
        return payload
    }

    /// What an edited work item tells agents to do.
    private static func input(of item: JSON) throws(JSONError) -> JSON {
        var item = try JSONReader(item, path: "payload")
        guard let input = item.raw("input") else {
            throw item.error("input", "is required: the task has ended, and the new one takes it over")
        }
        guard input.bytes.count <= Request.bodyBytesDefault else {
            throw item.error("input", "must not be longer than \(Request.bodyBytesDefault) bytes")
        }
        return input
    }

    /// A task that has ended is not revived: its work becomes a new task, once whoever asks, that names the old one.
    /// Nil when the letter is no work, or its task goes on.
    ///
    /// - Parameter item: the edited work item, whose input is the new task's; the old task's when nil.
    private func submitAnew(
        _ letter: DeadLetter, edited item: JSON?, _ principal: Principal, _ context: EdgeRequestContext
    ) async throws -> Response? {
        guard let id = letter.task, Subject.isWork(letter.originalSubject),
            let old = try await tasks.find(id, tenant: principal.tenant), old.task.state.isTerminal
        else { return nil }
        try context.require(.taskCreate)
        let edited = try item.map(Self.input(of:))
        var labels = old.task.labels
        // Ours, besides the task's own, however many these are.
        labels["replay_of"] = id.description
        let role = try await firstRole(of: old.task)
        let limits = try await limits(of: old.task)
        let submission = TaskSubmission(
            name: old.task.name, workflow: old.task.workflow, project: old.task.project, role: role,
            priority: old.task.priority, timeoutSeconds: limits.seconds, attemptMax: limits.attempts, labels: labels,
            budgetTokens: old.task.budgetTokens, callback: old.task.callback, input: edited ?? old.input
        )
        let body = JSONWriter.object {
            $0.field("replay_of", letter.id.description)
            $0.field(ifPresent: "input", edited)
        }
        let charge = tokens.charge(of: submission)
        // As a request it is counted already.
        if charge > 0 { try await context.countAgainstLimits(cost: 0, tokens: charge) }
        let result: TaskSubmitter.Result
        do {
            result = try await submitter.submit(
                submission, body: body, key: "replay:\(letter.id)", keyOwner: Self.keyOwner, principal: principal,
                traceparent: context.trace.traceparent,
                // The edge writes down this call as a whole.
                audit: nil
            )
        } catch {
            tokens.giveBack(charge, tenant: principal.tenant)
            throw error
        }
        if case .accepted = result {} else { tokens.giveBack(charge, tenant: principal.tenant) }
        switch result {
        case .accepted(let stored, _), .replayed(let stored):
            _ = try await store.resolve(
                letter.id, tenant: principal.tenant, by: principal.subject, notes: "submitted anew: \(stored.location)")
            return .json(
                stored.body, status: HTTPResponse.Status(code: stored.status), headers: [.location: stored.location])
        case .keyReused:
            throw Problem(
                .conflict,
                "The letter's work became a new task already, with another input. Nothing was submitted; see the task "
                    + "whose label replay_of is \(id)."
            )
        }
    }

    /// For whom a task was accepted: by now it has gone through other stages, and the new one begins anew. Nil where
    /// that is not known, and then it is the workflow's own.
    private func firstRole(of task: TaskRecord) async throws -> AgentRole? {
        let first = try await tasks.events(of: task.id, tenant: task.tenant, after: 0, limit: 1).first
        guard let first, first.kind == .created else { return nil }
        return first.data.fields?.first { $0.name == "role" }?.value.string.flatMap { AgentRole($0) }
    }

    /// What a task asked for instead of its stage's own; nil where it took that, as the new task takes its own stages'.
    private func limits(of task: TaskRecord) async throws -> (seconds: Int?, attempts: Int?) {
        let workflow = try await submitter.decider.workflows.find([task])[0]
        let stage = workflow.map { $0.stages[$0.workStage(atOrBefore: task.stage)] }
        let asked = task.overrides
        return (
            seconds: stage?.timeout == Duration.seconds(asked.timeoutSeconds) ? nil : asked.timeoutSeconds,
            attempts: stage?.attemptMax == asked.attemptMax ? nil : asked.attemptMax
        )
    }

    // MARK: Many letters

    func replayMany(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        var body = try JSONReader(try await request.readJSON(limit: Self.bodyBytesMax))
        let filter = try DeadLetterFilter(from: &body)
        let isEverything = try body.optionalBool("everything") ?? false
        let isDryRun = try body.optionalBool("dry_run") ?? false
        let rate = try body.optionalInt("rate") ?? Self.rateDefault
        let note = try body.optionalText("note", max: Self.noteMax)
        try body.refuseUnknown()
        guard Self.rateRange.contains(rate) else {
            throw body.error("rate", "must be from \(Self.rateRange.lowerBound) to \(Self.rateRange.upperBound)")
        }
        guard isEverything != !filter.isEverything else {
            throw body.error(
                "everything",
                isEverything
                    ? "stands alone: leave the conditions out" : "must be true when no condition is given")
        }
        if isDryRun { return try await rehearse(filter, tenant: principal.tenant) }
        let replay = try await begin(filter, payload: nil, rate: rate, note: note, principal)
        return .json(
            DeadLetterView.replay(replay), status: .accepted, headers: [.location: "/dlq/replays/\(replay.id)"])
    }

    /// How many letters are meant, and the first of them. Nothing is sent.
    private func rehearse(_ filter: DeadLetterFilter, tenant: TenantID) async throws -> Response {
        let count = try await store.count(filter, tenant: tenant)
        let sample = try await store.list(
            DeadLetterPage(tenant: tenant, filter: filter, isResolved: false, limit: Self.sampleMax))
        return .json(
            JSONWriter.object { writer in
                writer.field("dry_run", true)
                writer.field("total", count)
                writer.field("sample", array: { for letter in sample { $0.element(DeadLetterView.summary(letter)) } })
            }
        )
    }

    private func begin(
        _ filter: DeadLetterFilter, payload: String?, rate: Int, note: String?, _ principal: Principal
    ) async throws -> Replay {
        var random = SystemRandomNumberGenerator()
        let id = ReplayID(TaskID(at: Date(), random: (random.next(), random.next())).uuid)
        return try await store.begin(
            ReplayRequest(
                id: id, tenant: principal.tenant, filter: filter, payload: payload, rate: rate,
                requestedBy: principal.subject, note: note)
        )
    }

    // MARK: Following

    func listReplays(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        let replays = try await store.replays(
            tenant: try context.requirePrincipal().tenant, limit: Self.replaysMax)
        return .json(
            JSONWriter.object { writer in
                writer.field("replays", array: { for replay in replays { $0.element(DeadLetterView.replay(replay)) } })
            }
        )
    }

    func showReplay(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        return .json(DeadLetterView.replay(try await findReplay(context)))
    }

    /// The replay as it stands, or its progress as it is made: one event for each change, the last when it is over.
    func followReplay(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let query = try QueryReader(request)
        try query.refuseUnknown()
        let replay = try await findReplay(context)
        guard request.prefersEventStream else { return .json(DeadLetterView.replay(replay)) }
        let last = try request.lastEventID() ?? 0
        if replay.state != .running, last >= replay.version { return Response(status: .noContent) }
        let feed = try ReplayFeed(of: replay, store: store, followers: followers)
        return EventStream { try await feed.next(after: $0) }.response(to: request, context, after: last)
    }

    func stop(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let replay = try await findReplay(context)
        guard let stopped = try await store.stop(replay.id, tenant: replay.tenant) else {
            throw Problem(.conflict, "The replay is not running. Nothing was changed.")
        }
        return .json(DeadLetterView.replay(stopped))
    }

    func resume(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let replay = try await findReplay(context)
        guard let resumed = try await store.resume(replay.id, tenant: replay.tenant) else {
            throw Problem(.conflict, "The replay is not stopped. Nothing was changed.")
        }
        return .json(DeadLetterView.replay(resumed))
    }

    private func findReplay(_ context: EdgeRequestContext) async throws -> Replay {
        guard let id = ReplayID(context.path("id")),
            let found = try await store.replay(id, tenant: try context.requirePrincipal().tenant)
        else { throw Problem.notFound("replay") }
        return found
    }

    private func follow(
        _ replay: Replay, tenant: TenantID, until deadline: ContinuousClock.Instant
    ) async throws -> Replay {
        var latest = replay
        while latest.state == .running, .now < deadline {
            try await Task.sleep(for: Self.pollInterval)
            latest = try await store.replay(replay.id, tenant: tenant) ?? latest
        }
        return latest
    }
}
