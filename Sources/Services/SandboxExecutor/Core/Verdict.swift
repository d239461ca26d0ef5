package import Contracts

/// Why the executor itself ended a run.
package enum StopReason: Sendable, Equatable {
    case canceled
    case outputLimit
    case timeout
    /// The executor shuts down or lost its claim: somebody else runs it again.
    case abandoned
}

/// All that is known about how a run ended, from the launcher, the kernel and the executor itself; never from the
/// program's output.
package struct RunFacts: Sendable, Equatable {
    package var report: LauncherReport
    package var stop: StopReason?
    /// Processes the memory limit killed.
    package var memoryKills = 0
    /// How often a process was refused for there being too many.
    package var processRefusals = 0
    package var cpuMicroseconds: Int?
    package var memoryPeakBytes: Int?
    package var cpuSecondsMax: Int

    package init(report: LauncherReport, cpuSecondsMax: Int) {
        self.report = report
        self.cpuSecondsMax = cpuSecondsMax
    }
}

/// The status of a run: the first of these that holds.
package struct Verdict: Sendable, Equatable {
    package let status: SandboxStatus
    package var exitCode: Int?
    package var signal: Int?
    package var failedToCompile = false
    package var failure: SandboxOutcome.Failure?

    private static let cpuSignal = 24
    private static let killSignal = 9
    /// Errors of exec that say that the command does not exist on this host.
    private static let missing: Set<Int> = [2, 8, 13, 20]
    private static let noSpace = 28
    private static let nameTooLong = 36

    package init(_ facts: RunFacts) {
        let report = facts.report
        let exit = report.lastExit
        failedToCompile = exit != nil && report.exits[.run] == nil
        switch exit?.end {
        case .code(let code): exitCode = code
        case .signal(let number): signal = number
        case nil: break
        }
        if let fault = report.fault {
            status = .sandboxError
            failure = Self.failure(fault, report)
            return
        }
        switch facts.stop {
        case .canceled: status = .canceled
        case .outputLimit: status = .outputLimit
        case .timeout: status = .timeout
        case .abandoned:
            status = .sandboxError
            failure = SandboxOutcome.Failure(code: "abandoned", message: "The executor gave the run up.")
        case nil:
            if facts.memoryKills > 0 {
                status = .memoryLimit
            } else if let exit {
                status = Self.status(exit, facts.cpuSecondsMax)
            } else {
                status = .sandboxError
                failure = SandboxOutcome.Failure(
                    code: "launcher_lost", message: "The sandbox ended without a word of how.")
            }
        }
    }

    private static func status(_ exit: LauncherReport.Exit, _ cpuSecondsMax: Int) -> SandboxStatus {
        switch exit.end {
        case .code(0): .ok
        case .code: .error
        case .signal(cpuSignal): .cpuLimit
        case .signal(killSignal) where exit.cpuMicroseconds >= cpuSecondsMax * 1_000_000: .cpuLimit
        case .signal: .signal
        }
    }

    private static func failure(_ fault: LauncherReport.Fault, _ report: LauncherReport) -> SandboxOutcome.Failure {
        if fault.stage == "data", doNotFit(fault, report) {
            return SandboxOutcome.Failure(
                code: SandboxOutcome.Failure.invalidRequest,
                message: "The files do not fit into the sandbox (at \(fault.place)); nothing was run. Send less, or "
                    + "raise limits.disk_bytes or limits.inodes.")
        }
        if fault.stage == "exec", missing.contains(fault.errno) {
            return SandboxOutcome.Failure(
                code: "language_unavailable", message: "The language's command cannot be run here (\(fault.place)).")
        }
        return SandboxOutcome.Failure(
            code: "sandbox_\(fault.stage)",
            message: "The sandbox could not be had: \(fault.stage) failed with error \(fault.errno)"
                + (fault.place.isEmpty ? "." : " at \(fault.place).")
        )
    }

    /// Whether the request's own files are too large or too many. File systems of the sandbox's own have the size of
    /// its limits. Without an init the launcher put the files on the host's disk: that one being full is the executor's
    /// trouble.
    private static func doNotFit(_ fault: LauncherReport.Fault, _ report: LauncherReport) -> Bool {
        fault.errno == nameTooLong || (fault.errno == noSpace && report.initPID != nil)
    }

    /// Whether the engine is at fault, for its circuit breaker: not the program, nor who sent or stopped it.
    package var isEngineFailure: Bool {
        let others = ["language_unavailable", "abandoned", SandboxOutcome.Failure.invalidRequest]
        return status == .sandboxError && !others.contains(failure?.code ?? "")
    }
}
