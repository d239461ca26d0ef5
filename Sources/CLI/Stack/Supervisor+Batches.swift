extension Supervisor {
    /// Processes that may run at the same time, and work that can be done while the early ones start.
    struct Batch: Sendable {
        var early: [ProcessSpec] = []
        let meanwhile: @Sendable () async throws -> Void
        let late: [ProcessSpec]
        /// Runs beside the processes until the stack stops.
        var companion: (@Sendable (Latch) async -> Void)?
    }

    /// The whole stack in its order; later batches need all of the earlier ones.
    func batches() throws(CLIError) -> [Batch] {
        var orchestrators: [ProcessSpec] = []
        for index in 0..<plan.options.orchestrators { orchestrators.append(try plan.orchestrator(index)) }
        let sandbox = try plan.sandbox().map { [$0] } ?? []
        let services = try [plan.peerHub(), plan.supervisor(), plan.dlqWorker()] + sandbox + plan.agents()
        let batches = [
            try plan.options.isCluster ? clusterStores() : stores(),
            Batch(
                meanwhile: {
                    await step("applying the migrations, creating the streams")
                    async let migrated: Void = orchestratorTool("migrate", "up", within: Tool.wholeDataMax)
                    async let declared: Void = declareStreams()
                    async let sealed: Void = plan.postgres().seal(environment: plan.baseEnvironment)
                    _ = try await (migrated, declared, sealed)
                    try await makeFirstAdmin()
                    await step("starting the orchestrator")
                }, late: orchestrators
            ),
            Batch(meanwhile: { await step("starting the other services and the agents") }, late: services),
        ]
        guard let observability = try plan.observability() else { return batches }
        try observability.prepare()
        let watchers = try observability.specs(environment: plan.baseEnvironment)
        return batches + [Batch(meanwhile: { await step("starting prometheus and alertmanager") }, late: watchers)]
    }

    private func stores() throws(CLIError) -> Batch {
        let environment = plan.baseEnvironment
        let postgres = try plan.postgres()
        let natsProgram = try Programs.require("nats-server", package: "nats-server", environment: plan.caller)
        let redisProgram = try Programs.require("redis-server", package: "redis-server", environment: plan.caller)
        try plan.nats.prepare()
        try plan.redis.prepare()
        return Batch(
            early: [
                plan.nats.spec(executable: natsProgram, environment: environment),
                plan.redis.spec(executable: redisProgram, environment: environment),
            ],
            meanwhile: {
                if !postgres.isInitialised { await step("creating the database") }
                try await postgres.initialise(environment: environment)
                await step("starting postgres, nats and redis")
            },
            late: [postgres.spec(environment: environment)]
        )
    }

    /// A cluster's servers are up before they have agreed on who leads them, and refuse until then.
    private func declareStreams() async throws {
        let limit = ContinuousClock.now + (plan.options.isCluster ? ClusterPlan.electionMax : .zero)
        while true {
            do {
                return try await orchestratorTool("jetstream", "setup")
            } catch  where ContinuousClock.now < limit {
                try await Task.sleep(for: ClusterPlan.electionPoll)
            }
        }
    }

    private func orchestratorTool(
        _ command: String, _ verb: String, within limit: Duration = Tool.runMax
    ) async throws(CLIError) {
        let program = try Sibling.path("orchestrator", environment: plan.caller)
        let outcome = await Tool.run(
            [program, command, verb], environment: try plan.orchestratorEnvironment(index: 0), within: limit
        )
        try outcome.check("orchestrator \(command) \(verb)", "The stack cannot start.")
    }

    private func makeFirstAdmin() async throws(CLIError) {
        let program = try Sibling.path("orchestrator", environment: plan.caller)
        let outcome = await Tool.run(
            [program, "accounts", "init", "--json"], environment: try plan.orchestratorEnvironment(index: 0)
        )
        try outcome.check("orchestrator accounts init", "The stack cannot start.")
        if let event = UpEvent(accounts: outcome.output) { report(event) }
    }

    func step(_ words: String) async {
        report(.step(words))
        await journal.update { $0.note = words }
    }
}
