internal import ArgumentParser
internal import Contracts

/// `golden sandbox`
struct SandboxCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sandbox", abstract: "Run programs that nobody trusts, and see whether this host can.",
        discussion: """
            EXAMPLES:
              golden sandbox run main.py
              golden sandbox doctor
            """,
        subcommands: [SandboxRunCommand.self, SandboxDoctorCommand.self]
    )
}

/// A program's own end is the command's: its exit code, or what stands for how it was ended.
struct ProgramEnd: Error {
    let code: Int32

    private static let signalBase = 128

    /// As shells and `timeout` have it.
    init(_ outcome: SandboxOutcome) {
        switch outcome.status {
        case .ok: code = 0
        case .error: code = Int32(clamping: outcome.exitCode ?? 1)
        case .signal: code = Int32(clamping: Self.signalBase + (outcome.signal ?? 0))
        case .timeout: code = 124
        case .sandboxError: code = 125
        case .canceled: code = ExitStatus.interrupted.rawValue
        case .cpuLimit, .memoryLimit, .outputLimit: code = 137
        }
    }
}
