package import Contracts
package import HTTPTypes
package import Hummingbird
package import Logging
package import NIOCore
internal import Synchronization

/// What is known of one request besides the request itself.
package struct EdgeRequestContext: InitializableFromSource, Sendable {
    package let channel: any Channel
    var baseLogger: Logger
    package internal(set) var requestID = ""
    /// This request's own span; its parent is the caller's when the caller sent a `traceparent`.
    package internal(set) var trace = Self.noTrace
    var callersSpan: String?
    /// Where the request came from in the words of a trusted proxy; nil when there is none, or it does not say.
    var forwardedAddress: String?
    /// Who asks; nil on public routes.
    package internal(set) var token: VerifiedToken?
    package internal(set) var route: Route?
    package internal(set) var pathParameters: [String: String] = [:]
    let answer = AnswerHeaders()
    var limiter: RateLimiter?
    var audit: AuditHook?
    var isTokenRevoked: @Sendable (VerifiedToken) -> Bool = { _ in false }
    package internal(set) var drain = Self.noDrain

    // Stand here until the responder, which alone makes contexts of use, puts in the request's own.
    private static let noTrace = TraceContext(isSampled: false)
    private static let noDrain = Drain()

    package init(source: ApplicationRequestContextSource) {
        channel = source.channel
        baseLogger = source.logger
    }

    /// Logs with this request's `request_id` and `trace_id`, and the caller's `tenant`.
    package var logger: Logger {
        var logger = baseLogger
        logger[metadataKey: "request_id"] = "\(requestID)"
        logger[metadataKey: "trace_id"] = "\(trace.traceID)"
        if let token { logger[metadataKey: "tenant"] = "\(token.principal.tenant)" }
        return logger
    }

    var isDebugging: Bool { baseLogger.logLevel <= .debug }

    /// The caller of a route that is not public.
    /// - Throws: 401 on a public route, where nobody was asked for a token.
    package func requirePrincipal() throws(Problem) -> Principal {
        guard let token else { throw Problem(.unauthenticated, "Send a token: Authorization: Bearer <token>.") }
        return token.principal
    }

    /// - Throws: 403 when the caller's role does not hold `permission`.
    package func require(_ permission: Permission) throws(Problem) {
        let principal = try requirePrincipal()
        guard principal.may(permission) else {
            throw Problem(
                .forbidden, "The role \(principal.role.rawValue) lacks the permission \(permission.rawValue).")
        }
    }

    /// A `{name}` of the route's path. Asking for one the path does not have is our bug.
    package func path(_ name: String) -> String {
        guard let value = pathParameters[name] else { preconditionFailure("The route has no parameter \(name).") }
        return value
    }

    /// A `{name}` that is a task's id.
    /// - Throws: 404 when it is not a UUID, since then there is no such task.
    package func taskID(_ name: String = "id") throws(Problem) -> TaskID {
        guard let id = TaskID(path(name)) else { throw Problem.notFound("task") }
        return id
    }

    /// Puts a header on whatever answer this request gets, a problem included.
    package func setAnswerHeader(_ name: HTTPField.Name, _ value: String) {
        answer.fields.withLock { $0[name] = value }
    }

    /// Adds to the audit entry of this request; the last note counts.
    package func setAuditNote(_ note: AuditNote) {
        answer.note.withLock { $0 = note }
    }

    /// The audit event of this request, for a handler that commits it together with what the request changes; it says
    /// so with `auditIsCommitted()` then. Nil where the log need not know of the request.
    /// - Parameter status: what the answer is going to be.
    package func auditEvent(of request: Request, status: HTTPResponse.Status) -> AuditEvent? {
        AuditEvent(request, self, status: status, refusal: nil)
    }

    /// The audit log holds this request already; nobody records it again.
    package func auditIsCommitted() { answer.isAudited.store(true, ordering: .relaxed) }

    /// Records this request now, for a handler that has changed something and answers much later; nobody records it
    /// again.
    /// - Parameter status: what was promised.
    package func recordAudit(of request: Request, status: HTTPResponse.Status) async {
        guard let audit, let event = auditEvent(of: request, status: status) else { return }
        await audit(event)
        auditIsCommitted()
    }

    /// Who calls, as far as anybody knows: to tell callers apart, not to trust them.
    var caller: String { token.map { "\($0.principal.tenant)/\($0.principal.subject)" } ?? remoteAddress }

    /// The caller's address: as a trusted proxy says, else the socket's other end; "unknown" when neither says.
    package var remoteAddress: String { forwardedAddress ?? channel.remoteAddress?.ipAddress ?? "unknown" }

    /// Whom limits on those without a token count: the address, or the network that its holder has all of.
    package var limitedAddress: String {
        let address = remoteAddress
        // Only what is written as IPv6 needs a look.
        return address.utf8.contains(UInt8(ascii: ":")) ? IPAddress(address)?.limited ?? address : address
    }

    /// Counts this request against the caller's limits. Handlers whose route says `.byHandler` call it once the request
    /// has been found valid, so that a refused one costs nothing.
    /// - Parameter tokens: model tokens that the request is expected to use.
    /// - Throws: 429, with the violated policies in the document; 503 when the route is not served uncounted and nobody
    ///   can count.
    package func countAgainstLimits(cost: Int = 1, tokens: Int = 0) async throws {
        guard let limiter, let route else { return }
        let decision = try await limiter(
            RateLimitRequest(
                principal: token?.principal, address: limitedAddress, route: route.operation.id,
                permission: route.permission, cost: cost, tokens: tokens
            )
        )
        for (name, value) in decision.headers { setAnswerHeader(name, value) }
        if let problem = decision.problem { throw problem }
    }
}

/// Headers, and words for the audit log, collected while a request is answered.
final class AnswerHeaders: Sendable {
    let fields = Mutex(HTTPFields())
    let note = Mutex<AuditNote?>(nil)
    let isAudited = Atomic(false)
}
