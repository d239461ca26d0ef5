internal import Contracts
internal import Coordination
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Logging

/// What the routes of circuit breakers do. The routes themselves, as data, stand in `BreakerAPI+Routes`.
struct BreakerAPI: Sendable {
    let registry: BreakerRegistry

    func list(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let query = try QueryReader(request)
        try query.refuseUnknown()
        let here = Dictionary(registry.statuses.map { ($0.name, $0) }) { first, _ in first }
        let overviews = await registry.overviews().filter { Self.isVisible($0.name, to: principal) }
        return .json(
            JSONWriter.object { writer in
                writer.field(
                    "circuit_breakers",
                    array: { writer in
                        for overview in overviews {
                            writer.element(BreakerView.document(overview, here: here[overview.name]))
                        }
                    })
            }
        )
    }

    func reset(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        try await carryOut(.automatic, request, context)
    }

    func forceOpen(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        try await carryOut(.forcedOpen, request, context)
    }

    func disable(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        try await carryOut(.disabled, request, context)
    }

    func countOnly(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        try await carryOut(.metricsOnly, request, context)
    }

    private func carryOut(
        _ mode: BreakerMode, _ request: Request, _ context: EdgeRequestContext
    ) async throws -> Response {
        let principal = try context.requirePrincipal()
        // Versions begin with the time of the breaker's first transition, in milliseconds.
        let version = try request.expectedVersion(max: .max)
        let command = try await BreakerRequests.command(mode, request, by: principal, version: version)
        guard Self.isVisible(command.name, to: principal) else { throw Problem.notFound("circuit breaker") }
        context.setAuditNote(Self.note(on: command, mode))
        let result: BreakerCommand.Result
        do throws(CoordinationError) {
            result = try await registry.carryOut(command)
        } catch {
            throw Problem(.unavailable, error.message, retryAfterSeconds: 1)
        }
        switch result {
        case .done(let overview):
            context.logger.notice(
                "an operator changed a circuit breaker",
                metadata: [
                    "breaker": "\(command.name)", "mode": "\(mode.word)", "actor": "\(command.actor)",
                    "reason": "\(command.reason)",
                ]
            )
            let here = registry.statuses.first { $0.name == overview.name }
            return .json(
                BreakerView.document(overview, here: here), headers: [.eTag: "\"\(overview.version)\""]
            )
        case .changedMeanwhile(let overview):
            throw Problem(
                .preconditionFailed,
                "The breaker is at version \(overview.version). Nothing was changed; look at it and try again.",
                members: [Problem.Member(name: "breaker", value: BreakerView.document(overview, here: nil))]
            )
        case .unknown: throw Problem.notFound("circuit breaker")
        }
    }

    /// A tenant's receivers are its own affair; whoever may configure everybody's limits sees everybody's.
    private static func isVisible(_ name: String, to principal: Principal) -> Bool {
        !name.hasPrefix(ReceiverBreakers.prefix) || principal.may(.limitsConfigure)
            || name.hasPrefix("\(ReceiverBreakers.prefix)\(principal.tenant):")
    }

    private static func note(on command: BreakerCommand, _ mode: BreakerMode) -> AuditNote {
        var note = AuditNote()
        note.facts = [("breaker", command.name), ("mode", mode.word), ("why", command.reason)]
        return note
    }
}
