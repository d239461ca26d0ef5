/// Starts the stack in order, keeps it running, and stops it in reverse.
///
/// Stores in parallel, then migrations and streams, then orchestrators, then agents.
struct Supervisor: Sendable {
    let plan: StackPlan
    let journal: StackJournal
    /// Hears each step.
    let report: @Sendable (UpEvent) -> Void

    private var folder: StackFolder { plan.options.folder }

    /// Runs until `stop` opens, or throws what kept the stack from starting; either way nothing is left running.
    func run(until stop: Latch) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var started: [[ProcessKeeper]] = []
            var failure: (any Error)?
            do {
                for batch in try batches() {
                    guard !stop.isOpen else { break }
                    try await batch.before()
                    let fresh = batch.specs.map(keeper)
                    for keeper in fresh { await journal.note(keeper.initialRecord) }
                    for keeper in fresh { group.addTask { await keeper.run() } }
                    started.append(fresh)
                    try await waitUntilReady(fresh, stop)
                }
                if !stop.isOpen {
                    try await journal.update {
                        $0.state = .ready; $0.note = ""
                    }
                    report(.ready(await journal.record))
                    await keepLogsBounded(until: stop)
                }
            } catch {
                failure = error
            }
            try await stopAll(started, because: failure)
            try await group.waitForAll()
            if let failure { throw failure }
        }
    }

    /// Processes that may start together, and what must be done before.
    private struct Batch {
        let before: () async throws -> Void
        let specs: [ProcessSpec]
    }

    private func batches() throws(CLIError) -> [Batch] {
        let environment = plan.baseEnvironment
        let postgres = try plan.postgres()
        let natsProgram = try Programs.require("nats-server", package: "nats-server", environment: plan.caller)
        let redisProgram = try Programs.require("redis-server", package: "redis-server", environment: plan.caller)
        let orchestrators = try (0..<plan.options.orchestrators).map { index throws(CLIError) in
            try plan.orchestrator(index)
        }
        let agents = try plan.agents()
        return [
            Batch(
                before: {
                    try plan.nats.prepare()
                    try plan.redis.prepare()
                    if !postgres.isInitialised { await step("creating the database") }
                    try await postgres.initialise(environment: environment)
                    await step("starting postgres, nats and redis")
                },
                specs: [
                    postgres.spec(environment: environment),
                    plan.nats.spec(executable: natsProgram, environment: environment),
                    plan.redis.spec(executable: redisProgram, environment: environment),
                ]
            ),
            Batch(
                before: {
                    try await orchestratorTool("migrate", "up", "applying the migrations")
                    try await orchestratorTool("jetstream", "setup", "creating the streams")
                    await step("starting the orchestrator")
                }, specs: orchestrators
            ),
            Batch(before: { await step("starting the agents") }, specs: agents),
        ]
    }

    private func keeper(_ spec: ProcessSpec) -> ProcessKeeper {
        ProcessKeeper(spec, log: folder.log(of: spec.name), isRoot: plan.isRoot) { [journal] in await journal.note($0) }
    }

    /// Waits for all at once; a stop in between ends the wait.
    private func waitUntilReady(_ keepers: [ProcessKeeper], _ stop: Latch) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for keeper in keepers {
                group.addTask {
                    try await keeper.waitUntilReady()
                    report(.running(keeper.spec.name))
                }
            }
            group.addTask { await stop.wait() }
            for _ in keepers where !stop.isOpen { try await group.next() }
            group.cancelAll()
        }
    }

    private func orchestratorTool(_ command: String, _ verb: String, _ words: String) async throws {
        await step(words)
        let program = try Sibling.path("orchestrator", environment: plan.caller)
        let outcome = await Tool.run(
            [program, command, verb], environment: try plan.orchestratorEnvironment(index: 0)
        )
        try outcome.check("orchestrator \(command) \(verb)", "The stack cannot start: \(words) failed.")
    }

    private func keepLogsBounded(until stop: Latch) async {
        let processes = await journal.record.processes.map(\.log)
        let logs = LogFiles(paths: processes + [folder.log(of: "supervisor")])
        while !stop.isOpen {
            logs.rotate()
            await stop.wait(atMost: LogFiles.checkEvery)
        }
    }

    /// Batch by batch in reverse, those of one batch at once: agents drain while the bus still stands.
    private func stopAll(_ batches: [[ProcessKeeper]], because failure: (any Error)?) async throws {
        try await journal.update { $0.state = .stopping }
        for batch in batches.reversed() {
            for keeper in batch { report(.stopping(keeper.spec.name)) }
            await withTaskGroup(of: Void.self) { group in
                for keeper in batch { group.addTask { await keeper.stop() } }
            }
        }
        try await journal.update { record in
            record = record.stopped()
            if let failure {
                record.state = .failed
                record.note = "\(failure)"
            }
        }
        report(.stopped)
    }

    private func step(_ words: String) async {
        report(.step(words))
        do { try await journal.update { $0.note = words } } catch { report(.step("\(error)")) }
    }
}
