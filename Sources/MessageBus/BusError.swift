internal import NATS

/// The one error of the message bus.
package struct BusError: Error, Sendable, CustomStringConvertible {
    /// Stable names, safe to log, count and match.
    package enum Code: String, Sendable, CaseIterable {
        /// No connection, no answer, or a full queue of this process. Nothing was stored; try again.
        case unavailable = "bus_unavailable"
        /// A publish was sent and its answer was lost. Publish again with the same id.
        case outcomeUnknown = "bus_outcome_unknown"
        /// The stream or consumer does not exist and could not be made in time.
        case topologyMissing = "bus_topology_missing"
        /// A stream exists with settings that cannot be changed in place. An operator has to decide.
        case topologyConflict = "bus_topology_conflict"
        /// The stream is at its bound and refuses new messages until old ones are taken.
        case streamFull = "bus_stream_full"
        /// Larger than the server or the stream allows. Trying again is pointless.
        case messageTooLarge = "bus_message_too_large"
        /// The server refused the credentials or the permission.
        case forbidden = "bus_forbidden"
        /// The server answered with something this build does not understand, or refused for another reason.
        case refused = "bus_refused"
        /// A subject or header of ours is malformed: a mistake in this program.
        case invalid = "bus_invalid"
        /// The bus was shut down.
        case closed = "bus_closed"
        /// The caller's task was cancelled before anything was sent.
        case cancelled = "bus_cancelled"
    }

    package let code: Code
    package let message: String
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    /// Trying the same call again later can succeed.
    package var isTransient: Bool {
        switch code {
        case .unavailable, .outcomeUnknown, .topologyMissing, .streamFull: true
        case .topologyConflict, .messageTooLarge, .forbidden, .refused, .invalid, .closed, .cancelled: false
        }
    }

    /// The message itself is what cannot be stored, on any bus of this configuration: it need not be kept for later.
    package var isOfTheMessage: Bool { code == .messageTooLarge || code == .invalid }

    package var description: String {
        underlying.map { "\(code.rawValue): \(message) (\($0))" } ?? "\(code.rawValue): \(message)"
    }
}

extension BusError {
    /// Names of the server's `err_code`s, as listed in its `errors.json`.
    enum ServerCode {
        static let consumerNotFound = 10014
        static let messageNotFound = 10037
        static let insufficientResources = 10023
        static let sequenceNotFound = 10043
        static let storageExceeded = 10047
        static let messageTooLarge = 10054
        static let streamNotFound = 10059
        static let storeFailed = 10077
    }

    private static let unavailableStatus = 503

    init(_ error: NATSError, doing what: String) {
        let code: Code
        switch error.code {
        case .connectFailed, .tlsFailed, .timeout, .disconnected, .backlogFull, .slowConsumer, .library:
            code = .unavailable
        case .authenticationFailed: code = .forbidden
        case .noResponders: code = .topologyMissing
        case .payloadTooLarge: code = .messageTooLarge
        case .closed: code = .closed
        case .cancelled: code = .cancelled
        case .outcomeUnknown: code = .outcomeUnknown
        case .invalidConfiguration, .invalidSubject, .invalidHeader: code = .invalid
        case .jetStream: code = Self.code(forServer: error.jetStreamCode, status: error.jetStreamStatus)
        }
        self.init(code, "\(what) failed.", underlying: error)
    }

    /// - Parameters:
    ///   - number: the answer's `err_code`; some refusals of a leader that is just losing its office have none.
    ///   - status: its `code`, as in HTTP: 503 while leaders are elected and servers start.
    static func code(forServer number: Int?, status: Int?) -> Code {
        switch number {
        case ServerCode.streamNotFound, ServerCode.consumerNotFound: .topologyMissing
        case ServerCode.storeFailed, ServerCode.storageExceeded, ServerCode.insufficientResources: .streamFull
        case ServerCode.messageTooLarge: .messageTooLarge
        default: status == Self.unavailableStatus ? .unavailable : .refused
        }
    }
}
