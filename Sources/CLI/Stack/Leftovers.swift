/// Processes of a stack whose supervisor is gone, found by the pid and start time in its record.
///
/// The kernel asks each of them to end when the supervisor dies (`setpriv --pdeathsig`), so there is rarely any.
struct Leftovers: Sendable {
    static let graceEach: Duration = .seconds(10)
    static let pollEvery: Duration = .milliseconds(50)

    let record: StackRecord

    var running: [StackRecord.Process] { record.processes.filter { $0.identity?.isRunning == true } }

    /// Ends them in reverse order: asked first, killed after `graceEach`.
    func end(report: (String) -> Void) async throws(CLIError) {
        for process in running.reversed() {
            guard let identity = process.identity else { continue }
            report("stopping \(process.name) (pid \(identity.pid))")
            identity.send(Self.stopSignal(of: process.name).rawValue)
            if await Self.wait(for: identity, atMost: Self.graceEach) { continue }
            report("killing \(process.name) (pid \(identity.pid))")
            identity.sendToGroup(9)
            identity.send(9)
            guard await Self.wait(for: identity, atMost: Self.graceEach) else {
                throw CLIError(
                    .processFailed, "\(process.name) (pid \(identity.pid)) cannot be ended.",
                    next: "Look at it: ps -fp \(identity.pid)"
                )
            }
        }
    }

    /// Postgres, of which a cluster has several, waits for its clients to leave unless it is interrupted.
    static func stopSignal(of process: String) -> ProcessSpec.StopSignal {
        process == "postgres" || process.hasPrefix("postgres-") ? .interrupt : .terminate
    }

    /// True when the process is gone. Polled, because only a parent can await its end.
    static func wait(for identity: ProcessIdentity, atMost limit: Duration) async -> Bool {
        let end = ContinuousClock.now + limit
        while identity.isRunning {
            guard ContinuousClock.now < end else { return false }
            do { try await Task.sleep(for: pollEvery) } catch { return !identity.isRunning }
        }
        return true
    }
}
