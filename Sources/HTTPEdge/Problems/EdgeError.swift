/// Why the edge cannot start. What a request may be refused for is a `Problem`.
package struct EdgeError: Error, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The HS256 secret is short, repeated or well known.
        case weakSecret = "edge_weak_secret"
        /// The JWKS file cannot be read or holds a key that cannot be used.
        case badKeys = "edge_bad_keys"
        /// Neither a secret nor a JWKS file was given.
        case noKeys = "edge_no_keys"
    }

    package let code: Code
    package let message: String
    /// Why, in the words of whoever failed; shown too, so nothing that quotes a secret.
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
