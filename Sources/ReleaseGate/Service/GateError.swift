/// What went wrong in the gate, told the way every message of Golden is: what happened, and what to do next.
///
/// A refusal of the rules is no error: it is a value of the core, and the commands print it.
package struct GateError: Error, CustomStringConvertible {
    /// Stable words for scripts; `--json` prints them as `code`.
    package enum Code: String, Sendable {
        /// The command line or a file it names is wrong.
        case invalid
        /// A rule of releases refuses it.
        case refused
        /// A signature, hash or chain does not hold.
        case tampered
        case fileUnusable = "file_unusable"
        case unreachable
        /// A server answered, and not what was asked for.
        case badAnswer = "bad_answer"
        /// A program that the gate drives failed.
        case adapterFailed = "adapter_failed"
        case storeFailed = "store_failed"
    }

    package let code: Code
    package let message: String
    /// What to do now, as a command where one helps.
    package let next: String?
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, next: String? = nil, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.next = next
        self.underlying = underlying
    }

    package var description: String {
        var lines = [message]
        if let underlying { lines.append("Cause: \(underlying)") }
        if let next { lines.append("Next: \(next)") }
        return lines.joined(separator: "\n")
    }
}
