package import Contracts
package import FoundationEssentials
internal import HTTPTypes
internal import Hummingbird
internal import Synchronization

/// One answered request that the audit log is to know of: every call that could change something, whatever came of it,
/// and every refusal of a call that needs a permission.
package struct AuditEvent: Sendable {
    package let at: Date
    /// Nil when nobody known made the call.
    package let principal: Principal?
    package let address: String
    /// Whom limits count it against: the same, or an IPv6 address's network.
    package let limitedAddress: String
    package let method: String
    /// The path as it was sent, without its query.
    package let path: String
    /// The operation's id.
    package let operation: String
    /// What the route requires; nil for an open one.
    package let permission: Permission?
    package let status: Int
    /// Why it was refused, for the log: the problem's code and detail.
    package let refusal: (code: ProblemCode, detail: String)?
    package let requestID: String
    package let traceID: String
    /// What the handler added.
    package let note: AuditNote?

    /// Nil when the log need not know of it.
    init?(_ request: Request, _ context: EdgeRequestContext, status: HTTPResponse.Status, refusal: Problem?) {
        guard let route = context.route else { return nil }
        let changes = route.method != .get && request.method != .head
        switch route.access {
        case .open:
            guard changes else { return nil }
            permission = nil
        case .require(let permission):
            guard changes || status == .unauthorized || status == .forbidden else { return nil }
            self.permission = permission
        }
        at = Date()
        principal = context.token?.principal
        address = context.remoteAddress
        limitedAddress = context.limitedAddress
        method = request.method.rawValue
        path = request.uri.path
        operation = route.operation.id
        self.status = status.code
        self.refusal = refusal.map { ($0.code, $0.detail) }
        requestID = context.requestID
        traceID = context.trace.traceID
        note = context.answer.note.withLock { $0 }
    }
}

/// What a handler adds to the audit entry of its request.
package struct AuditNote: Sendable {
    /// Who it was, where no token says so: the user of a login.
    package var actor: String?
    package var role: Role?
    /// Whose log it belongs in, where no token says so.
    package var tenant: TenantID?
    /// Facts worth keeping; never a secret.
    package var facts: [(name: String, value: String)] = []

    package init(actor: String? = nil, role: Role? = nil, tenant: TenantID? = nil) {
        self.actor = actor
        self.role = role
        self.tenant = tenant
    }
}

/// Writes an event down, or sees to it that it will be. Must not throw; the answer waits for it.
package typealias AuditHook = @Sendable (AuditEvent) async -> Void
