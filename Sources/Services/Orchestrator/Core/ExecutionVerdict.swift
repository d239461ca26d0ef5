internal import Contracts

/// What a run of the work's tests means for the work. Only the kernel's and the launcher's word counts, the exit code
/// included; what the program wrote is shown to people and agents and decides nothing.
enum ExecutionVerdict: Sendable, Equatable {
    case passed
    /// It goes to the guard's fixer.
    case lacking(Guard, why: String)
    /// It goes back to who made it.
    case failed(why: String)
    /// It says nothing of the work: it was not run to its end.
    case void(code: String, message: String)

    init(_ outcome: SandboxOutcome, _ terms: ExecuteTerms, guards: [Guard]) {
        switch outcome.status {
        case .ok: self = Self.passed(outcome, terms, guards)
        case .error where outcome.exitCode == SandboxProgram.noTestsCode:
            self = guards.contains(.hasTests) ? .lacking(.hasTests, why: "It has no tests.") : .passed
        case .error: self = .failed(why: "Its tests ended with code \(outcome.exitCode ?? 1).")
        case .signal: self = .failed(why: "Signal \(outcome.signal ?? 0) ended its tests.")
        case .timeout: self = .failed(why: "Its tests took too long.")
        case .cpuLimit: self = .failed(why: "Its tests used up their CPU time.")
        case .memoryLimit: self = .failed(why: "Its tests used up their memory.")
        case .outputLimit: self = .failed(why: "Its tests wrote too much.")
        case .canceled: self = .void(code: "execution_canceled", message: "The run of its tests was canceled.")
        case .sandboxError:
            let failure = outcome.failure
            let message = failure?.message ?? "The sandbox failed."
            self =
                failure?.code == SandboxOutcome.Failure.invalidRequest
                ? .failed(why: message) : .void(code: failure?.code ?? "sandbox_error", message: message)
        }
    }

    private static func passed(
        _ outcome: SandboxOutcome, _ terms: ExecuteTerms, _ guards: [Guard]
    ) -> ExecutionVerdict {
        let used = outcome.usage.cpuMicroseconds / 1000
        guard guards.contains(.performanceOK), let most = terms.cpuMillisecondsMax, used > most else { return .passed }
        return .lacking(.performanceOK, why: "Its tests took \(used) ms of CPU time, of \(most) ms allowed.")
    }
}

/// What agents are told of a run: in the plan of those who get the work back, and beside the work for its reviewers.
enum ExecutionSummary {
    /// Of each stream, its end.
    static let outputBytesMax = 4096

    static func write(_ report: ExecutionReport, to writer: inout JSONWriter) {
        let outcome = report.outcome
        writer.field("execution_id", report.execution.description)
        writer.field("status", outcome.status.rawValue)
        writer.field(ifPresent: "exit_code", outcome.exitCode)
        writer.field(ifPresent: "signal", outcome.signal)
        writer.field(ifPresent: "error", outcome.failure?.message)
        writer.field("cpu_ms", outcome.usage.cpuMicroseconds / 1000)
        writer.field("wall_ms", outcome.usage.wallMicroseconds / 1000)
        writer.field("memory_peak_bytes", outcome.usage.memoryPeakBytes)
        writer.field(ifPresent: "isolation", outcome.isolation?.tier.rawValue)
        for (name, output) in [("stdout", outcome.stdout), ("stderr", outcome.stderr)] where output.bytesTotal > 0 {
            writer.field(name, end(of: output))
        }
    }

    /// The last lines say how tests ended.
    static func end(of output: SandboxOutcome.Output, bytesMax: Int = outputBytesMax) -> String {
        let bytes = OutputText.wholeScalars((output.head + output.tail).suffix(bytesMax), atEnd: false)
        let text = String(decoding: bytes, as: UTF8.self)
        return String(text.unicodeScalars.filter { $0 != "\0" })
    }
}
