internal import Contracts
internal import FoundationEssentials
internal import Glibc

/// What went wrong in a command, told the way every message of Golden is: what happened, what was kept, what next.
struct CLIError: Error, CustomStringConvertible {
    /// Stable words for scripts; `--json` prints them as `code`.
    enum Code: String, Sendable {
        case usage
        case missingProgram = "missing_program"
        case stackRunning = "stack_running"
        case stackNotRunning = "stack_not_running"
        case portTaken = "port_taken"
        case processFailed = "process_failed"
        case folderUnusable = "folder_unusable"
        case fileUnreadable = "file_unreadable"
        case unreachable
        case refused
        case badAnswer = "bad_answer"
        case timedOut = "timed_out"
        case noSecret = "no_secret"
        case outputLost = "output_lost"
    }

    let code: Code
    let message: String
    /// What still holds after the failure; nil when nothing was at stake.
    let kept: String?
    /// What to do now, as a command where one helps.
    let next: String?
    let underlying: (any Error)?
    /// The API refused for now (429, 5xx), not for good.
    let isTransient: Bool

    init(
        _ code: Code, _ message: String, kept: String? = nil, next: String? = nil, underlying: (any Error)? = nil,
        isTransient: Bool = false
    ) {
        self.isTransient = isTransient
        self.code = code
        self.message = message
        self.kept = kept
        self.next = next
        self.underlying = underlying
    }

    var description: String {
        var lines = [message]
        if let cause { lines.append("Cause: \(cause)") }
        if let kept { lines.append("Kept: \(kept)") }
        if let next { lines.append("Next: \(next)") }
        return lines.joined(separator: "\n")
    }

    /// What lies below, in words. Foundation's own description of its errors is all that they hold.
    var cause: String? {
        guard let underlying else { return nil }
        guard let error = underlying as? CocoaError else { return "\(underlying)" }
        if let system = error.underlying as? POSIXError { return String(cString: strerror(system.code.rawValue)) }
        switch error.code {
        case .fileReadNoPermission, .fileWriteNoPermission: return String(cString: strerror(EACCES))
        case .fileNoSuchFile, .fileReadNoSuchFile: return String(cString: strerror(ENOENT))
        case .fileWriteOutOfSpace: return String(cString: strerror(ENOSPC))
        default: return "Foundation's error \(error.code.rawValue)"
        }
    }

    /// The exit code this failure maps to.
    var exitStatus: ExitStatus {
        switch code {
        case .usage: .usage
        case .timedOut: .timedOut
        case .missingProgram, .stackRunning, .stackNotRunning, .portTaken, .processFailed, .folderUnusable,
            .fileUnreadable, .unreachable, .refused, .badAnswer, .noSecret, .outputLost:
            .other
        }
    }
}

extension CLIError {
    /// For `--json`: one object on standard error.
    var json: JSON {
        JSONWriter.object { writer in
            writer.field(
                "error",
                object: { writer in
                    writer.field("code", code.rawValue)
                    writer.field("message", message)
                    writer.field(ifPresent: "cause", cause)
                    writer.field(ifPresent: "kept", kept)
                    writer.field(ifPresent: "next", next)
                })
        }
    }
}
