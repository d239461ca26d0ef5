/// Why an agent cannot work.
package struct AgentWorkerError: Error, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// A word of the command line cannot be used.
        case invalidOption = "agent_invalid_option"
        /// The program of the command back end does not exist or cannot be executed.
        case programNotFound = "agent_program_not_found"
        /// The process that would kill orphaned programs could not be kept running.
        case watchdogLost = "agent_watchdog_lost"
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
