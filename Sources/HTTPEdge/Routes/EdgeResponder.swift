internal import Contracts
internal import FoundationEssentials
internal import HTTPTypes
package import Hummingbird
package import Logging
internal import NIOCore
internal import Synchronization

/// Takes one request through the edge: limits on its head, route, token, permission, rate limit, handler; and turns
/// whatever comes of it into an answer. The order stands in `answer(_:_:)` and nowhere else.
package struct EdgeResponder: HTTPResponder {
    package typealias Context = EdgeRequestContext

    private let configuration: EdgeConfiguration
    private let table: RouteTable
    private let logger: Logger

    package init(_ configuration: EdgeConfiguration, table: RouteTable, logger: Logger) {
        self.configuration = configuration
        self.table = table
        self.logger = logger
    }

    package func respond(to request: Request, context: EdgeRequestContext) async throws -> Response {
        let (start, startedAt) = (ContinuousClock.now, Date())
        var context = context
        prepare(&context, for: request)
        var response: Response
        var refusal: Problem?
        do {
            response = try await answer(request, &context)
        } catch {
            let problem = try error as? Problem ?? problem(for: error, context)
            response = problem.response
            refusal = problem
        }
        if let audit = configuration.audit, !context.answer.isAudited.load(ordering: .relaxed),
            let event = AuditEvent(request, context, status: response.status, refusal: refusal)
        {
            await audit(event)
        }
        finish(&response, request, context)
        let elapsed = ContinuousClock.now - start
        let status = response.status.code
        let (route, method) = (context.route?.pattern ?? "unmatched", Self.label(request.method))
        configuration.metrics.record(route, method, status, elapsed)
        // What probes and scrapes are answered is no caller's failure: objectives leave it out, too.
        if status >= 500, context.route?.operation.tag != HealthRoutes.tag {
            configuration.metrics.failed(context.caller)
        }
        configuration.trace?(
            RequestSpan(
                context: context.trace, parent: context.callersSpan, method: method, route: route, status: status,
                start: startedAt))
        if context.isDebugging {
            context.logger.debug(
                "Answered a request",
                metadata: [
                    "method": "\(request.method.rawValue)", "route": "\(route)",
                    "status": "\(status)", "microseconds": "\(elapsed / .microseconds(1))",
                ]
            )
        }
        return response
    }

    private func prepare(_ context: inout EdgeRequestContext, for request: Request) {
        context.baseLogger = logger
        context.requestID = request.callersRequestID ?? RequestID().description
        let parent = request.headers[.traceparent].flatMap { TraceContext(traceparent: $0) }
        context.trace = parent?.child() ?? TraceContext()
        context.callersSpan = parent?.spanID
        let proxies = configuration.trustedProxies
        if !proxies.isEmpty, let list = request.headers[.xForwardedFor] {
            context.forwardedAddress = proxies.caller(behind: context.remoteAddress, forwardedFor: list)?.description
        }
        context.limiter = configuration.rateLimiter
        context.audit = configuration.audit
        context.isTokenRevoked = configuration.isRevoked
        context.drain = configuration.drain
    }

    private func answer(_ request: Request, _ context: inout EdgeRequestContext) async throws -> Response {
        try configuration.limits.check(request)
        switch table.match(request.method, path: request.uri.path) {
        case .nothing: throw Problem(.notFound, "This API has no such path; see /openapi.json.")
        case .otherMethods(let allow):
            throw Problem(.methodNotAllowed, "This path allows \(allow).", headers: [.allow: allow])
        case .route(let route, let parameters):
            context.route = route
            context.pathParameters = parameters
        }
        guard let route = context.route else { throw Problem(.notFound, "There is no such path.") }
        switch route.access {
        case .open: break
        case .require(let permission):
            context.token = try await configuration.authenticate(request)
            try context.require(permission)
        }
        if route.rateLimit == .beforeHandler { try await context.countAgainstLimits() }
        let called = context
        let caller = called.token?.principal.tenant.text ?? ""
        let response = try await LargeBodies.$caller.withValue(caller) { try await route.handler(request, called) }
        return request.method == .head ? response.createHeadResponse() : response
    }

    /// - Throws: what broke the connection, which the server itself must see.
    private func problem(for error: any Error, _ context: EdgeRequestContext) throws -> Problem {
        if let problem = configuration.problem(for: error, of: context.route?.operation) { return problem }
        if error is CancellationError {
            return Problem(.unavailable, "The service is shutting down; try again.", retryAfterSeconds: 1)
        }
        if let broken = error as? BrokenBody { throw broken.underlying }
        context.logger.error("A request failed", metadata: ["error": "\(error)"])
        return Problem(.internalError, "The request failed; its id is \(context.requestID).")
    }

    private func finish(_ response: inout Response, _ request: Request, _ context: EdgeRequestContext) {
        response.headers[.requestID] = context.requestID
        response.headers[.cacheControl] = "no-store"
        response.headers[.xContentTypeOptions] = "nosniff"
        for field in context.answer.fields.withLock({ $0 }) { response.headers[field.name] = field.value }
        if request.method == .head, response.status.code >= 400 { response = response.createHeadResponse() }
    }

    /// The methods HTTP knows; whatever else a client makes up becomes one label.
    private static func label(_ method: HTTPRequest.Method) -> String {
        switch method {
        case .get, .head, .post, .put, .delete, .patch, .options: method.rawValue
        default: "other"
        }
    }
}
