package import Contracts

/// How a program's end becomes a report.
///
/// | end | report |
/// |---|---|
/// | exit 0, standard output is one JSON value | `completed` |
/// | exit 0, anything else on standard output | `failed{bad_output}`, permanent |
/// | more than 1 MiB on standard output | `failed{output_too_large}`, permanent |
/// | exit 65 (`EX_DATAERR`) | `rejected` |
/// | exit 77 (`EX_NOPERM`) | `escalated` |
/// | exit 75 (`EX_TEMPFAIL`) | `failed{temporary_failure}`, tried again |
/// | another exit code | `failed{exit_<code>}`, permanent |
/// | killed by a signal | `failed{signal_<number>}`, tried again |
package enum CommandOutcome {
    /// The program's input can never be worked on (`EX_DATAERR` of sysexits.h).
    package static let rejectedCode: Int32 = 65
    /// Somebody else has to decide how to go on (`EX_NOPERM` of sysexits.h).
    package static let escalatedCode: Int32 = 77
    /// Trying again later may work (`EX_TEMPFAIL` of sysexits.h).
    package static let temporaryCode: Int32 = 75
    private static let messageBytesMax = 4096

    package enum End: Sendable, Equatable {
        case exited(Int32)
        case signaled(Int32)
        /// It wrote more than `AgentReport.outputBytesMax` and was killed for it.
        case outputTooLarge
    }

    package static func report(
        _ end: End, output: [UInt8], stderr: String, usage: AgentReport.Usage? = nil
    ) -> AgentReport.Body {
        switch end {
        case .outputTooLarge: return outputTooLarge(usage)
        case .exited(0): return completed(output, stderr, usage)
        case .exited(rejectedCode):
            return .rejected(reason: message("The program refused the input", stderr), usage: usage)
        case .exited(escalatedCode):
            return .escalated(reason: message("The program asks how to go on", stderr), usage: usage)
        case .exited(temporaryCode):
            return failed("temporary_failure", "The program asked to be tried again", stderr, usage, isRetryable: true)
        case .exited(let code):
            return failed("exit_\(code)", "The program ended with code \(code)", stderr, usage, isRetryable: false)
        case .signaled(let number):
            return failed(
                "signal_\(number)", "The program was killed by signal \(number)", stderr, usage, isRetryable: true
            )
        }
    }

    /// Larger results belong into a store of the tenant's own, with the result naming the place.
    package static func outputTooLarge(_ usage: AgentReport.Usage?) -> AgentReport.Body {
        .failed(
            AgentReport.Failure(
                code: "output_too_large",
                message: "The output is larger than \(AgentReport.outputBytesMax) bytes. Store it elsewhere and return "
                    + "its address.",
                isRetryable: false, usage: usage
            )
        )
    }

    private static func completed(
        _ output: [UInt8], _ stderr: String, _ usage: AgentReport.Usage?
    ) -> AgentReport.Body {
        guard output.count <= AgentReport.outputBytesMax else { return outputTooLarge(usage) }
        do throws(JSONError) {
            return .completed(output: try JSON(parsing: output), usage: usage)
        } catch {
            let what =
                output.isEmpty
                ? "The program ended well but wrote no result to standard output"
                : "The program's standard output is not one JSON value (\(error))"
            return failed("bad_output", what, stderr, usage, isRetryable: false)
        }
    }

    private static func failed(
        _ code: String, _ what: String, _ stderr: String, _ usage: AgentReport.Usage?, isRetryable: Bool
    ) -> AgentReport.Body {
        .failed(
            AgentReport.Failure(code: code, message: message(what, stderr), isRetryable: isRetryable, usage: usage)
        )
    }

    /// The end of what the program said is what usually explains its failure.
    private static func message(_ what: String, _ stderr: String) -> String {
        let said = String(stderr.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
        guard !said.isEmpty else { return StderrReader.cut("\(what).", messageBytesMax) }
        let head = StderrReader.cut(what, messageBytesMax / 2) + ": "
        return head + end(of: said, messageBytesMax - head.utf8.count)
    }

    /// The longest end of whole characters within `bytesMax` bytes.
    private static func end(of text: String, _ bytesMax: Int) -> Substring {
        var start = text.endIndex
        var count = 0
        while start > text.startIndex {
            let before = text.index(before: start)
            count += text[before..<start].utf8.count
            if count > bytesMax { break }
            start = before
        }
        return text[start...]
    }
}
