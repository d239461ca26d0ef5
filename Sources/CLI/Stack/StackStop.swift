internal import FoundationEssentials

/// Stops a stack from outside its supervisor.
struct StackStop: Sendable {
    let folder: StackFolder
    let within: Duration

    /// Asks the supervisor to stop all; kills what is left after `within`.
    /// - Returns: false when nothing ran.
    func stop(report: (String) -> Void) async throws(CLIError) -> Bool {
        guard let record = try StackRecord.load(from: folder) else { return false }
        var wasRunning = false
        if let supervisor = record.supervisor, supervisor.isRunning {
            wasRunning = true
            report("stopping \(record.processes.count) processes")
            supervisor.send(15)
            if await !waitReporting(for: supervisor, report) {
                report("killing the supervisor (pid \(supervisor.pid))")
                supervisor.send(9)
                _ = await Leftovers.wait(for: supervisor, atMost: Leftovers.graceEach)
            }
        }
        let last = try StackRecord.load(from: folder) ?? record
        let leftovers = Leftovers(record: last)
        if !leftovers.running.isEmpty { wasRunning = true }
        try await leftovers.end(report: report)
        try last.stopped().save(to: folder)
        return wasRunning
    }

    /// Removes everything the stack ever wrote. The stack must be stopped.
    static func delete(_ folder: StackFolder, _ record: StackRecord) throws(CLIError) {
        try PostgresPlace.deleteFallback(record.postgresFolder)
        try folder.delete()
    }

    /// Waits for the supervisor and tells which process it is at.
    private func waitReporting(for supervisor: ProcessIdentity, _ report: (String) -> Void) async -> Bool {
        let end = ContinuousClock.now + within
        while ContinuousClock.now < end {
            if await Leftovers.wait(for: supervisor, atMost: .milliseconds(500)) { return true }
            do {
                let waiting =
                    try StackRecord.load(from: folder)?.processes.filter { $0.state == .stopping }.map(\.name) ?? []
                if !waiting.isEmpty { report("waiting for \(waiting.joined(separator: ", "))") }
            } catch {
                report(error.message)
            }
        }
        return !supervisor.isRunning
    }
}
