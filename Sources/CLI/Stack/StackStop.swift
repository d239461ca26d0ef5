/// Stops a stack from outside its supervisor.
struct StackStop: Sendable {
    let folder: StackFolder
    let within: Duration

    /// Asks the supervisor to stop all; kills what is left after `within`. From then on it holds the folder's lock, as
    /// whoever starts or restores a stack does.
    /// - Parameter deletes: removes everything the stack ever wrote, too.
    /// - Returns: false when nothing ran.
    func stop(deletes: Bool = false, report: (String) -> Void) async throws(CLIError) -> Bool {
        let end = ContinuousClock.now + within
        var wasRunning = false
        let lock = try await lockStopped(until: end, &wasRunning, report)
        guard let record = try StackRecord.load(from: folder) else { return wasRunning }
        let leftovers = Leftovers(record: record)
        if !leftovers.running.isEmpty { wasRunning = true }
        try await leftovers.end(report: report)
        try record.stopped().save(to: folder)
        if deletes {
            try PostgresPlace.deleteFallback(record.postgresFolder, of: folder)
            try folder.delete()
        }
        _ = consume lock
        return wasRunning
    }

    /// Ends the supervisor, that of a stack which is only starting as well, and takes the lock that it held.
    private func lockStopped(
        until limit: ContinuousClock.Instant, _ wasRunning: inout Bool, _ report: (String) -> Void
    ) async throws(CLIError) -> FolderLock {
        var end = limit
        var isFirst = true
        while true {
            let record = try StackRecord.load(from: folder)
            if let supervisor = record?.supervisor, supervisor.isRunning {
                wasRunning = true
                report("stopping \(record?.processes.count ?? 0) processes")
                try await stop(supervisor, until: end, report)
                // However long that took: its lock may be free only a moment later.
                end = max(end, ContinuousClock.now + Leftovers.graceEach)
            }
            if let lock = try FolderLock.acquire(folder.lock) { return lock }
            guard ContinuousClock.now < end, !Task.isCancelled else { throw inUse }
            if isFirst { report("waiting for another golden, which starts or restores the stack") }
            isFirst = false
            do { try await Task.sleep(for: Leftovers.pollEvery) } catch { throw inUse }
        }
    }

    private func stop(
        _ supervisor: ProcessIdentity, until end: ContinuousClock.Instant, _ report: (String) -> Void
    ) async throws(CLIError) {
        supervisor.send(15)
        if await waitReporting(for: supervisor, until: end, report) { return }
        report("killing the supervisor (pid \(supervisor.pid))")
        supervisor.send(9)
        guard await Leftovers.wait(for: supervisor, atMost: Leftovers.graceEach) else {
            throw CLIError(
                .processFailed, "The supervisor (pid \(supervisor.pid)) cannot be ended.",
                next: "Look at it: ps -fp \(supervisor.pid)"
            )
        }
    }

    private var inUse: CLIError {
        CLIError(
            .stackRunning, "Another golden starts or restores the stack in \(folder.path).",
            kept: "It goes on untouched.", next: "golden down again, once it is done."
        )
    }

    /// Waits for the supervisor and tells which process it is at.
    private func waitReporting(
        for supervisor: ProcessIdentity, until end: ContinuousClock.Instant, _ report: (String) -> Void
    ) async -> Bool {
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
