/// Why something could not be coordinated over Redis.
///
/// Rate limits never throw this at request time: they decide without Redis instead.
package struct CoordinationError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure this is; the raw values are stable and fit for logs and metrics.
    package enum Code: String, Sendable, Hashable {
        /// A rate policy's numbers make no sense; correct the configuration.
        case invalidPolicy = "invalid-policy"
        /// Redis could not be reached or did not answer; try again.
        case unavailable
        /// The presence board holds as many members as it may.
        case full
        /// An id or a body is empty or above its bound.
        case invalidEntry = "invalid-entry"
    }

    package let code: Code
    package let message: String
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    package var description: String { "coordination \(code.rawValue): \(message)" }
}
