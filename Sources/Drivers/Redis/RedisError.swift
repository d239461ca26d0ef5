/// Why a Redis command, or the connection itself, failed.
///
/// The message says what happened, what became of the command, and what to do next; it never holds a password
/// or an argument of the command.
package struct RedisError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure this is; `rawValue` is stable and fit for logs and metrics.
    package enum Code: Sendable, Hashable {
        /// No connection could be made: refused, unreachable, TLS not trusted, or no answer within the limit.
        case connectFailed
        /// The server refused the user name or the password.
        case authenticationFailed
        /// No reply arrived in time. A command that was already sent may have been carried out.
        case timeout
        /// There is no connection, or it was lost. A command that was already sent may have been carried out.
        case disconnected
        /// The bound on outstanding commands or bytes is reached; nothing was sent.
        case overloaded
        /// The server answered with an error; the word is its first one, such as `WRONGTYPE`.
        case server(String)
        /// The server's bytes were not a Redis reply; the connection was dropped.
        case protocolViolation
        /// A command (not sent) or a reply (connection dropped) is above its configured bound.
        case tooLarge
        /// The connection was shut down by this process.
        case closed
        /// The calling task was cancelled. A command that was already sent may have been carried out.
        case cancelled

        package var rawValue: String {
            switch self {
            case .connectFailed: "connect-failed"
            case .authenticationFailed: "authentication-failed"
            case .timeout: "timeout"
            case .disconnected: "disconnected"
            case .overloaded: "overloaded"
            case .server(let word): "server:\(word)"
            case .protocolViolation: "protocol-violation"
            case .tooLarge: "too-large"
            case .closed: "closed"
            case .cancelled: "cancelled"
            }
        }
    }

    package let code: Code
    package let message: String
    /// The failure behind this one: for `disconnected`, why the last attempt to connect failed.
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    package var description: String { "redis \(code.rawValue): \(message)" }
}

extension RedisError {
    /// The server's error reply, `WRONGTYPE Operation against a key …`, as an error.
    static func fromServer(_ text: String) -> RedisError {
        let word = text.prefix { $0 != " " && $0 != "\r" && $0 != "\n" }
        return RedisError(.server(String(word)), text)
    }

    static let cancelled = RedisError(
        .cancelled, "The caller was cancelled; a command already sent may still be carried out, its reply is discarded."
    )
    static let closed = RedisError(.closed, "This Redis connection was shut down; make a new one to go on.")
    static let timedOut = RedisError(
        .timeout, "Redis did not answer in time; the command may have been carried out. Check the server's load."
    )
    static let expiredUnsent = RedisError(
        .timeout, "The command waited past its time limit and was never sent; this process is short of time."
    )

    static func lost(_ cause: RedisError) -> RedisError {
        RedisError(
            .disconnected,
            "The connection to Redis was lost while the command was outstanding; it may have been carried out.",
            underlying: cause
        )
    }

    static func unavailable(_ cause: RedisError?) -> RedisError {
        RedisError(
            .disconnected, "There is no connection to Redis; the command was not sent. Reconnecting goes on by itself.",
            underlying: cause
        )
    }
}
