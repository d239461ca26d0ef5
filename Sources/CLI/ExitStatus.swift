/// Every exit code of `golden`; `golden help` lists them.
enum ExitStatus: Int32, Sendable, CaseIterable {
    case success = 0
    case other = 1
    case usage = 2
    case taskFailed = 3
    case taskCanceled = 4
    case taskRejected = 5
    case timedOut = 6
    /// Ctrl-C while following, or nobody reads on; the task goes on.
    case interrupted = 130

    var meaning: String {
        switch self {
        case .success: "done; for submit --wait and --follow: the task completed"
        case .other: "it did not work; the message says what to do next"
        case .usage: "the command line or the submitted file is wrong"
        case .taskFailed: "the task failed"
        case .taskCanceled: "the task was canceled"
        case .taskRejected: "the task was rejected"
        case .timedOut: "waiting took longer than --timeout; the task or stack goes on"
        case .interrupted: "interrupted; a followed task goes on"
        }
    }

    static var helpText: String {
        let lines = allCases.map {
            "  \($0.rawValue)\(String(repeating: " ", count: 5 - "\($0.rawValue)".count))\($0.meaning)"
        }
        return "EXIT CODES:\n" + lines.joined(separator: "\n")
    }
}
