package import Contracts
package import FoundationEssentials
internal import HTTPTypes
package import Hummingbird

/// What one server's edge needs from its service.
package struct EdgeConfiguration: Sendable {
    /// Who makes a request; throws a 401 problem. `TokenVerifier` usually.
    package var authenticate: @Sendable (Request) async throws -> VerifiedToken
    /// Whether a token that was good when its request came counts no more: for answers that go on.
    package var isRevoked: @Sendable (VerifiedToken) -> Bool = { _ in false }
    package var rateLimiter: RateLimiter?
    package var metrics: EdgeMetrics
    package var limits = HeadLimits()
    /// Whose word counts on where a request comes from.
    package var trustedProxies = TrustedProxies.none
    package var drain: Drain
    /// What the service's own errors mean to a client of that operation; nil leaves it at 500.
    package var problem: @Sendable (any Error, Operation?) -> Problem? = { _, _ in nil }
    /// Who hears of each request's span; nil where nobody does.
    package var trace: (@Sendable (RequestSpan) -> Void)?
    /// Who writes the audit log; nil for servers without one.
    package var audit: AuditHook?

    /// - Parameter verifier: nil for servers that have open routes only.
    package init(verifier: TokenVerifier?, metrics: EdgeMetrics = .none, drain: Drain = Drain()) {
        self.metrics = metrics
        self.drain = drain
        authenticate = { request in
            guard let verifier else { throw Problem(.unauthenticated, "This server knows no tokens.") }
            return try await verifier.verify(authorization: request.headers[.authorization])
        }
        if let revocations = verifier?.revocations { isRevoked = { revocations.covers($0) } }
    }

    func problem(for error: any Error, of operation: Operation?) -> Problem? {
        if let problem = problem(error, operation) { return problem }
        if let error = error as? JSONError { return Problem(error) }
        return nil
    }
}

/// One request's part of a trace, known once it is answered.
package struct RequestSpan: Sendable {
    package let context: TraceContext
    /// The caller's span, when it sent a `traceparent`.
    package let parent: String?
    package let method: String
    /// The pattern, never a request's own path.
    package let route: String
    package let status: Int
    package let start: Date
}

/// Where the edge reports to; glued to the service's metrics registry.
package struct EdgeMetrics: Sendable {
    /// Route pattern, method, status, time until the answer's head was ready.
    package var record: @Sendable (_ route: String, _ method: String, _ status: Int, _ elapsed: Duration) -> Void
    /// The whole registry in Prometheus' text format.
    package var render: @Sendable () -> String
    /// A readiness check's name and whether it held, told before every rendering.
    package var checked: @Sendable (_ name: String, _ isUp: Bool) -> Void
    /// Told who called whenever an answer's status is 5xx.
    package var failed: @Sendable (_ caller: String) -> Void

    package init(
        record: @escaping @Sendable (_ route: String, _ method: String, _ status: Int, _ elapsed: Duration) -> Void,
        render: @escaping @Sendable () -> String,
        checked: @escaping @Sendable (_ name: String, _ isUp: Bool) -> Void = { _, _ in },
        failed: @escaping @Sendable (_ caller: String) -> Void = { _ in }
    ) {
        self.record = record
        self.render = render
        self.checked = checked
        self.failed = failed
    }

    package static let none = EdgeMetrics(record: { _, _, _, _ in }, render: { "" })
}

/// What a request's head may be before anything else is looked at.
package struct HeadLimits: Sendable {
    package var targetBytesMax = 8 * 1024
    package var headersBytesMax = 16 * 1024
    package var headersMax = 100

    package init() {}

    /// - Throws: 414 or 431, after which the connection is closed.
    func check(_ request: Request) throws(Problem) {
        guard request.uri.string.utf8.count <= targetBytesMax else {
            throw Problem(
                .targetTooLong, "A request's address must not be longer than \(targetBytesMax) bytes.",
                headers: [.connection: "close"]
            )
        }
        let bytes = request.headers.reduce(0) { $0 + $1.name.rawName.utf8.count + $1.value.utf8.count + 4 }
        guard request.headers.count <= headersMax, bytes <= headersBytesMax else {
            throw Problem(
                .headersTooLarge, "At most \(headersMax) headers of \(headersBytesMax) bytes in all are accepted.",
                headers: [.connection: "close"]
            )
        }
    }
}
