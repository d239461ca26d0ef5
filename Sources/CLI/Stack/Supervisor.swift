/// Starts the stack in order, keeps it running, and stops it in reverse.
///
/// Stores in parallel, then migrations and streams, then orchestrators, then agents.
struct Supervisor: Sendable {
    let plan: StackPlan
    let journal: StackJournal
    /// Hears each step.
    let report: @Sendable (UpEvent) -> Void

    var folder: StackFolder { plan.options.folder }

    /// Runs until `stop` opens, or throws what kept the stack from starting; either way nothing is left running.
    func run(until stop: Latch) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var started: [[ProcessKeeper]] = []
            var failure: (any Error)?
            do {
                for batch in try batches() where !stop.isOpen {
                    let early = try batch.early.map(keeper)
                    started.append(early)
                    await launch(early, in: &group)
                    try await unlessStopped(stop) { try await batch.meanwhile() }
                    guard !stop.isOpen else { break }
                    let late = try batch.late.map(keeper)
                    started[started.count - 1] += late
                    await launch(late, in: &group)
                    if let companion = batch.companion { group.addTask { await companion(stop) } }
                    try await unlessStopped(stop) { try await ready(early + late) }
                }
                if !stop.isOpen {
                    remember()
                    await journal.update { record in
                        record.state = .ready
                        record.note = ""
                    }
                    report(.ready(await journal.record))
                    await attend(&started, in: &group, until: stop)
                }
            } catch {
                failure = error
            }
            await stopAll(started, because: failure)
            // The processes have ended; what ran beside them hears of a failed start only so.
            group.cancelAll()
            try await group.waitForAll()
            if let failure { throw failure }
        }
    }

    /// What the next start without options takes is what came up: a start that failed leaves it as it was.
    private func remember() {
        do throws(CLIError) {
            try StackSettings(plan.options).save(to: folder)
        } catch {
            report(.note(error.message))
        }
    }

    private func keeper(_ spec: ProcessSpec) throws(CLIError) -> ProcessKeeper {
        keeper(spec, on: try spec.port.map { port throws(CLIError) in try ListeningSocket(port: port) })
    }

    /// - Parameter follows: beside a process that serves the same socket.
    func keeper(_ spec: ProcessSpec, on socket: ListeningSocket?, follows: Bool = false) -> ProcessKeeper {
        var spec = socket.map(spec.served) ?? spec
        if follows { spec.readyWithin = Self.successionMax }
        return ProcessKeeper(
            spec, socket: socket, handover: follows ? folder.handover(of: spec.name) : nil,
            log: folder.log(of: spec.name), isRoot: plan.isRoot
        ) { [journal] in await journal.note($0) }
    }

    func launch(_ keepers: [ProcessKeeper], in group: inout ThrowingTaskGroup<Void, any Error>) async {
        for keeper in keepers {
            await journal.note(keeper.initialRecord)
            group.addTask { await keeper.run() }
        }
    }

    /// Carries `body` out and gives it up when `stop` opens first.
    func unlessStopped(_ stop: Latch, _ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await body() }
            group.addTask { await stop.wait() }
            try await group.next()
            group.cancelAll()
        }
    }

    private func ready(_ keepers: [ProcessKeeper]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for keeper in keepers {
                group.addTask {
                    do throws(CLIError) {
                        try await keeper.waitUntilReady()
                    } catch {
                        guard keeper.spec.isOptional else { throw error }
                        return report(.step("going on without \(keeper.spec.name); golden status shows why"))
                    }
                    report(.running(keeper.spec.name))
                }
            }
            try await group.waitForAll()
        }
    }

    /// Batch by batch in reverse, those of one batch at once: agents drain while the bus still stands.
    private func stopAll(_ batches: [[ProcessKeeper]], because failure: (any Error)?) async {
        await journal.update { $0.state = .stopping }
        for batch in batches.reversed() {
            for keeper in batch { report(.stopping(keeper.spec.name)) }
            await withTaskGroup(of: Void.self) { group in
                for keeper in batch { group.addTask { await keeper.stop() } }
            }
        }
        await journal.update { record in
            record = record.stopped()
            if let failure {
                record.state = .failed
                record.note = "\(failure)"
            }
        }
        report(.stopped)
    }
}
