package import Contracts
package import HTTPTypes
package import Hummingbird

/// One thing the API does: data first, code last. The router, the checks and the API document all read this.
package struct Route: Sendable {
    package typealias Handler = @Sendable (Request, EdgeRequestContext) async throws -> Response

    /// Who may call it.
    package enum Access: Sendable, Equatable {
        /// Anybody; no token is looked at.
        case open
        case require(Permission)
    }

    /// When the caller's limits are asked.
    package enum RateLimitTiming: Sendable, Equatable {
        case never
        case beforeHandler
        /// The handler calls `countAgainstLimits` after it has validated the request.
        case byHandler
    }

    package let method: HTTPRequest.Method
    /// Segments are literal or `{name}`: `/tasks/{id}/events`. Also the metric label.
    package let pattern: String
    package let access: Access
    package let rateLimit: RateLimitTiming
    package let operation: Operation
    package let handler: Handler

    /// What a caller needs; nil for an open route.
    package var permission: Permission? {
        switch access {
        case .open: nil
        case .require(let permission): permission
        }
    }

    package init(
        _ method: HTTPRequest.Method, _ pattern: String, access: Access, rateLimit: RateLimitTiming = .beforeHandler,
        operation: Operation, handler: @escaping Handler
    ) {
        self.method = method
        self.pattern = pattern
        self.access = access
        self.rateLimit = rateLimit
        self.operation = operation
        self.handler = handler
    }
}
