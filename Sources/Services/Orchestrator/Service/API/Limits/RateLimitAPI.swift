internal import Contracts
internal import Coordination
internal import FoundationEssentials
internal import HTTPEdge
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import MessageBus
internal import Storage

/// What the routes of rate limits do.
struct RateLimitAPI: Sendable {
    static let bodyBytesMax = 256 * 1024

    let limits: RateLimits
    let store: RateLimitStore
    let bus: MessageBus
    /// Every operation of the API: what a limit may be set for.
    let operations: Set<String>

    func show(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let query = try QueryReader(request)
        try query.refuseUnknown()
        if let newest = try await store.newest() { try limits.adopt(newest) }
        // Who may configure everybody's limits sees everybody's use; others see that of their tenant.
        let tenant = principal.may(.limitsConfigure) ? nil : principal.tenant
        return Self.answer(limits.table, uses: limits.uses(of: tenant))
    }

    func replace(_ request: Request, _ context: EdgeRequestContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let expected = try request.requiredVersion()
        let rules = try RateLimitRules(json: try await request.readJSON(limit: Self.bodyBytesMax))
        try rules.checkRoutes(operations)
        let newest = try await store.newest()
        let version = newest?.version ?? 0
        let stored = StoredRateLimits(
            version: version + 1, document: rules.json, changedBy: "\(principal.tenant)/\(principal.subject)",
            changedAt: Date()
        )
        guard expected ?? version == version, try await store.add(stored, after: version) else {
            if let newest { try limits.adopt(newest) }
            throw Problem(
                .preconditionFailed, "The rate limits are at another version. Nothing was changed; look and try again.",
                members: [Problem.Member(name: "rate_limits", value: Self.document(limits.table, uses: nil))]
            )
        }
        try limits.adopt(stored)
        RateLimitKeeper.announce(stored.version, on: bus, logger: context.logger)
        var note = AuditNote()
        note.facts = [("version", "\(stored.version)")]
        context.setAuditNote(note)
        context.logger.notice(
            "an operator set the rate limits",
            metadata: ["version": "\(stored.version)", "actor": "\(stored.changedBy)"]
        )
        return Self.answer(limits.table, uses: nil)
    }

    private static func answer(_ table: RateLimitTable, uses: [RateUse]?) -> Response {
        .json(document(table, uses: uses), headers: [.eTag: "\"\(table.version)\""])
    }

    private static func document(_ table: RateLimitTable, uses: [RateUse]?) -> JSON {
        JSONWriter.object { writer in
            writer.field("version", table.version)
            writer.field(ifPresent: "changed_by", table.changedBy)
            writer.field(ifPresent: "changed_at", table.changedAt.map(Timestamp.text))
            writer.field("limits", table.rules.json)
            guard let uses else { return }
            writer.field("use", array: { for use in uses { $0.element(object: { write(use, to: &$0) }) } })
        }
    }

    private static func write(_ use: RateUse, to writer: inout JSONWriter) {
        writer.field("policy", use.policy.name)
        writer.field("tenant", use.scope)
        writer.field("key", use.key)
        writer.field("used_percent", Int((use.used * 100).rounded()))
        writer.field("remaining", use.remaining)
        writer.field("quota", use.policy.limit)
        writer.field("window_seconds", Int(use.policy.period.components.seconds))
        writer.field("reset_seconds", RateLimits.secondsUp(use.reset))
    }
}
