internal import Contracts
internal import Crypto
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import MessageBus
internal import Storage

/// What the sandbox's routes do. The routes themselves, as data, stand in `SandboxAPI+Routes`.
///
/// A run is kept before it is promised; the message to the executors only saves them the look for it.
struct SandboxAPI: Sendable {
    /// How long an answer is waited for unless the caller prefers otherwise.
    static let waitSecondsDefault = 60
    static let waitSecondsMax = 300
    /// For a tenant that has too many runs waiting.
    static let retryAfterSeconds = 5

    let store: SandboxStore
    let hub: SandboxHub
    let bus: MessageBus
    /// Runs of one tenant that may wait.
    let waitingMax: Int

    func execute(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let key = try request.idempotencyKey()
        let program = try SandboxProgram(json: try await request.readJSON(limit: SandboxProgram.bodyBytesMax))
        let wait = try Self.wait(request)
        try await context.countAgainstLimits()
        let json = program.json
        let new = NewExecution(
            id: key.map { Self.id(principal, $0) } ?? Self.newID(), tenant: principal.tenant,
            caller: principal.subject, language: program.language, request: json,
            requestHash: Array(SHA256.hash(data: Array(json.bytes))), traceparent: context.trace.traceparent
        )
        // Before it can end; who does not wait needs no place.
        let watched = wait == 0 ? nil : hub.watch(new.id, for: principal.tenant)
        guard watched != nil || wait == 0 else {
            throw Problem(.unavailable, "Too many runs are watched; try again soon.", retryAfterSeconds: 5)
        }
        let execution: Execution
        switch try await store.admit(new, waitingMax: waitingMax) {
        case .accepted(let accepted):
            execution = accepted
            await ring(accepted, context)
        case .exists(let known):
            guard known.tenant == principal.tenant, known.requestHash == new.requestHash else {
                throw Problem(
                    .idempotencyMismatch,
                    "This Idempotency-Key came with another body before. Nothing was accepted; send a new key."
                )
            }
            context.setAnswerHeader(.idempotentReplayed, "true")
            execution = known
        case .full:
            throw Problem(
                .rateLimited, "\(waitingMax) runs of this tenant wait already. Nothing was accepted.",
                retryAfterSeconds: Self.retryAfterSeconds
            )
        }
        guard let signals = watched, execution.state != .ended else { return try Self.answer(execution) }
        // It is accepted, whatever becomes of this connection or of the look for its end.
        await context.recordAudit(of: request, status: .accepted)
        let ended = try await waitForEnd(of: execution, signals, seconds: wait, context)
        return try Self.answer(ended ?? execution)
    }

    func show(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        .json(ExecutionView.document(try await find(context)))
    }

    func events(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        var query = try QueryReader(request)
        let asked = try query.int("after", in: 0...Int(Int32.max))
        try query.refuseUnknown()
        let after = try request.lastEventID() ?? asked ?? 0
        let tenant = try context.requirePrincipal().tenant
        let execution = try await find(context)
        // What was written so far is told to those who listen; all of it is known at the end.
        let (events, isLast) = SandboxEventFeed.page(of: execution, after: after)
        guard request.prefersEventStream else {
            return .json(
                JSONWriter.object { writer in
                    writer.field("state", execution.state.rawValue)
                    writer.field("events", array: { writer in for event in events { writer.element(event.json) } })
                    if !isLast { writer.field(ifPresent: "next_after", events.last?.number) }
                })
        }
        if execution.state == .ended, events.isEmpty { return Response(status: .noContent) }
        let feed = try SandboxEventFeed(store: store, hub: hub, bus: bus, execution: execution.id, tenant: tenant)
        return EventStream { try await feed.next(after: $0) }.response(to: request, context, after: after)
    }

    func cancel(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let known = try await find(context)
        guard let execution = try await store.cancel(known.id, tenant: known.tenant) else {
            throw Problem(.conflict, "The run has ended already; nothing was changed.")
        }
        if execution.state == .running {
            do throws(BusError) {
                try bus.send(SandboxControl(.cancel, execution.id), on: .sandboxControl)
            } catch {
                context.logger.info(
                    "its executor will find out by itself that a run is canceled", metadata: ["error": "\(error)"])
            }
        }
        return .json(
            ExecutionView.document(execution), status: execution.state == .ended ? .ok : .accepted)
    }

    // MARK: Parts

    private func find(_ context: EdgeRequestContext) async throws -> Execution {
        guard let id = ExecutionID(context.path("id")),
            let execution = try await store.find(id, tenant: try context.requirePrincipal().tenant)
        else { throw Problem.notFound("execution") }
        return execution
    }

    /// Executors look once a second without it.
    private func ring(_ execution: Execution, _ context: EdgeRequestContext) async {
        let request = SandboxRequest(
            execution: execution.id, tenant: execution.tenant, caller: execution.caller, program: nil)
        do throws(BusError) {
            _ = try await bus.publish(
                request, on: .sandboxExecute, id: "\(execution.id).request", traceparent: execution.traceparent,
                tenant: execution.tenant
            )
        } catch {
            context.logger.info(
                "executors will find a run by themselves",
                metadata: [
                    "execution_id": "\(execution.id)", "error": "\(error)",
                    "trace_id": "\(TraceContext.id(of: execution.traceparent))",
                ])
        }
    }

    /// Nil when it has not ended in that time, or before the server is to stop.
    private func waitForEnd(
        of execution: Execution, _ signals: AsyncStream<SandboxHub.Signal>, seconds: Int,
        _ context: EdgeRequestContext
    ) async throws -> Execution? {
        try await withThrowingTaskGroup(of: Execution?.self) { group in
            group.addTask { await end(of: execution, signals, context) }
            group.addTask {
                try await Task.sleep(for: .seconds(seconds))
                return nil
            }
            group.addTask {
                await context.drain.wait()
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    private func end(
        of execution: Execution, _ signals: AsyncStream<SandboxHub.Signal>, _ context: EdgeRequestContext
    ) async -> Execution? {
        for await signal in signals {
            if case .event(let event) = signal {
                guard case .exit = event.kind else { continue }
            }
            do {
                if let found = try await store.find(execution.id, tenant: execution.tenant), found.state == .ended {
                    return found
                }
            } catch {
                context.logger.info(
                    "it will be looked again for the end of a run", metadata: ["error": "\(error)"])
            }
        }
        return nil
    }

    /// `Prefer: respond-async` and `Prefer: wait=N` (RFC 7240).
    private static func wait(_ request: Request) throws(Problem) -> Int {
        var seconds = waitSecondsDefault
        for value in request.headers[values: .prefer] {
            for preference in value.split(separator: ",") {
                let words = preference.split(separator: "=").map { $0.filter { $0 != " " }.lowercased() }
                if words.first == "respond-async" { seconds = 0 }
                if words.count == 2, words[0] == "wait", let wanted = Int(words[1]) {
                    seconds = max(0, min(wanted, waitSecondsMax))
                }
            }
        }
        return seconds
    }

    private static func answer(_ execution: Execution) throws -> Response {
        let location = "/sandbox/executions/\(execution.id)"
        guard let ending = execution.ending else {
            return .json(ExecutionView.document(execution), status: .accepted, headers: [.location: location])
        }
        if let failure = ending.outcome?.failure, failure.code == SandboxOutcome.Failure.invalidRequest {
            throw Problem(.validationFailed, failure.message)
        }
        return .json(ExecutionView.document(execution), headers: [.location: location])
    }

    private static func newID() -> ExecutionID {
        ExecutionID(UUID.version7(at: Date(), random: (.random(in: 0 ... .max), .random(in: 0 ... .max))))
    }

    /// The same for the same key of the same caller, and nobody else's.
    private static func id(_ principal: Principal, _ key: String) -> ExecutionID {
        var hash = SHA256()
        for part in [principal.tenant.text, principal.subject, key] {
            hash.update(data: Array("\(part.utf8.count):\(part)".utf8))
        }
        var bytes = Array(hash.finalize().prefix(16))
        // Version 8 of RFC 9562: made our own way.
        bytes[6] = bytes[6] & 0x0F | 0x80
        bytes[8] = bytes[8] & 0x3F | 0x80
        let uuid = bytes.withUnsafeBytes { $0.loadUnaligned(as: uuid_t.self) }
        return ExecutionID(UUID(uuid: uuid))
    }
}

extension HTTPField.Name {
    static let prefer: HTTPField.Name = {
        guard let name = HTTPField.Name("Prefer") else { preconditionFailure("Prefer is a header's name.") }
        return name
    }()
}

/// A run as the API shows it.
enum ExecutionView {
    static func document(_ execution: Execution) -> JSON {
        JSONWriter.object { writer in
            writer.field("id", execution.id.description)
            writer.field("tenant", execution.tenant.text)
            writer.field("caller", execution.caller)
            writer.field(ifPresent: "task_id", execution.task?.description)
            writer.field(ifPresent: "attempt", execution.attempt)
            writer.field("language", execution.language)
            writer.field("state", execution.state.rawValue)
            writer.field("tries", execution.tries)
            writer.field("created_at", Timestamp.text(execution.createdAt))
            writer.field(ifPresent: "started_at", execution.startedAt.map(Timestamp.text))
            guard let ending = execution.ending else { return }
            writer.field("ended_at", Timestamp.text(ending.at))
            for (name, value) in ending.result.fields ?? [] { writer.field(name, value) }
        }
    }
}
