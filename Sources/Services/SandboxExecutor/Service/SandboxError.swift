/// Why an executor cannot serve.
package struct SandboxError: Error, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// A file of `sandbox/` cannot be read or is not as it must be.
        case badFiles = "sandbox_bad_files"
        /// The host lacks what the configured tier needs, or a layer does not hold.
        case refused = "sandbox_refused"
        /// No sandbox can be had at the moment.
        case unavailable = "sandbox_unavailable"
    }

    package let code: Code
    package let message: String
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    package var description: String {
        underlying.map { "\(code.rawValue): \(message) (\($0))" } ?? "\(code.rawValue): \(message)"
    }
}
