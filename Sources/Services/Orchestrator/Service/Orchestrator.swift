internal import Bootstrap
internal import Contracts
internal import Coordination
package import HTTPEdge
package import Logging
internal import MessageBus
internal import NATS
internal import OrchestratorCore
internal import PeerHubCore
internal import Postgres
internal import Redis
package import ServiceLifecycle
internal import Storage

/// Puts an orchestrator together: every dependency is made here and passed on, and tests call the same.
package struct Orchestrator: Sendable {
    /// What runs, in the order to start in; shut down in the reverse order.
    package let services: [any Service]
    /// All that the API does, as data.
    package let routes: [Route]

    package init(
        _ configuration: OrchestratorConfiguration, logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) async throws {
        let registry = MetricsRegistry()
        ProcessMetrics.install(in: registry)
        let stores = Stores(configuration, registry: registry, logger: logger)
        let wire = try await NATSConnection.connect(configuration.bus.connection, logger: logger)
        let bus = MessageBus(connection: wire, configuration: configuration.bus.streams, logger: logger)
        let redis = RedisConnection(configuration.redis, logger: logger)
        let accounts = Accounts(configuration, pool: stores.pool, bus: bus, registry: registry, logger: logger)
        let work = try Work(configuration, stores: stores, bus: bus, redis: redis, registry: registry, logger: logger)
        let breakers = try Breakers(redis: redis, bus: bus, census: work.census, metrics: registry, logger: logger)
        let webhooks = Webhooks(
            configuration, pool: stores.pool, breakers: breakers.registry, registry: registry, tracer: bus.tracer,
            logger: logger
        )
        let sandbox = SandboxHub(store: stores.sandbox, bus: bus, logger: logger)
        let edge = try await Self.edge(
            configuration, work: work, accounts: accounts, breakers: breakers, webhooks: webhooks, stores: stores,
            sandbox: sandbox, bus: bus, redis: redis, registry: registry, logger: logger
        )
        routes = edge.routes
        let server = EdgeServer(
            EdgeServerConfiguration(
                host: configuration.httpHost, port: configuration.httpPort, socket: configuration.handover.socket,
                announce: configuration.handover.announce),
            edge: edge.configuration, table: RouteTable(routes), readiness: edge.readiness, logger: logger,
            onListening: onListening
        )
        services =
            [
                Running(
                    "postgres", run: stores.pool.run,
                    stop: { limit in
                        await accounts.shutdown()
                        await stores.shutdown(within: limit)
                    }),
                bus.tracer,
                Running("nats", run: Running.untilShutdown, stop: { await wire.shutdown(within: $0) }),
                Running("redis", run: redis.run, stop: { await redis.shutdown(within: $0) }),
                Running("topology", run: bus.setUpAndRun),
                breakers.service,
                sandbox,
            ] + work.services + webhooks.services + accounts.services + [server]
    }

    private static func edge(
        _ configuration: OrchestratorConfiguration, work: Work, accounts: Accounts, breakers: Breakers,
        webhooks: Webhooks, stores: Stores, sandbox: SandboxHub, bus: MessageBus, redis: RedisConnection,
        registry: MetricsRegistry, logger: Logger
    ) async throws -> (configuration: EdgeConfiguration, routes: [Route], readiness: Readiness) {
        let verifier = try await TokenVerifier(
            configuration.tokens, issued: accounts.keyring, revocations: accounts.revocations, logger: logger)
        let http = HTTPServerMetrics(registry, tellsCallersApart: true)
        let metrics = EdgeMetrics(
            record: http.record, render: registry.text, checked: http.checked, failed: http.failed)
        let drain = Drain()
        var edge = EdgeConfiguration(verifier: verifier, metrics: metrics, drain: drain)
        edge.trustedProxies = configuration.trustedProxies
        edge.rateLimiter = work.limits.limiter
        edge.problem = ServiceProblems.problem
        edge.audit = accounts.recorder.record
        let tracer = bus.tracer
        if tracer.isOn { edge.trace = { $0.record(with: tracer) } }
        let readiness = Readiness(
            [
                Readiness.Check("postgres") { try await stores.checkSchema() },
                Readiness.Check("nats", isRequired: false) { try await bus.checkHealth() },
                Readiness.Check("redis", isRequired: false) { _ = try await redis.command(["PING"]) },
            ],
            drain: drain, logger: logger
        )
        let health = HealthRoutes(
            service: "orchestrator", version: Version.current, readiness: readiness, metrics: metrics
        )
        let document = OpenAPIDocument(
            title: "Golden", version: Version.current,
            schemas: TaskAPI.schemas + Accounts.schemas + BreakerAPI.schemas + BudgetAPI.schemas + RateLimitAPI.schemas
                + Webhooks.schemas + GovernanceAPI.schemas + ReviewAPI.schemas + WorkflowAPI.schemas
                + EscalationAPI.schemas + DeadLetterAPI.schemas + SandboxAPI.schemas
        )
        var routes =
            work.api.routes + accounts.routes + breakers.api.routes + BudgetAPI(store: stores.budgets).routes
            + webhooks.routes + GovernanceAPI(store: stores.governance).routes + work.workflows.routes
            + work.escalations.routes + work.deadLetters.routes + health.routes
            + ReviewAPI(store: stores.reviews, tasks: stores.tasks, bus: bus).routes
            + SandboxAPI(store: stores.sandbox, hub: sandbox, bus: bus, waitingMax: configuration.sandboxQueue).routes
        let operations = Set(routes.map(\.operation.id) + RateLimitAPI.operationIDs)
        try configuration.rateLimits.checkRoutes(operations)
        routes +=
            RateLimitAPI(limits: work.limits, store: stores.rateLimits, bus: bus, operations: operations).routes
        return (edge, routes + [document.route(describing: routes)], readiness)
    }
}

/// The stores over Postgres.
struct Stores: Sendable {
    let pool: PostgresPool
    let tasks: TaskStore
    let outbox: OutboxStore
    let records: ReconciliationStore
    let agents: AgentStore
    let budgets: BudgetStore
    let rateLimits: RateLimitStore
    let governance: GovernanceStore
    let reviews: ReviewStore
    let taskReviews: TaskReviewStore
    let workflows: WorkflowStore
    let escalations: EscalationStore
    let deadLetters: DeadLetterStore
    let sandbox: SandboxStore
    let taskExecutions: TaskExecutionStore

    init(_ configuration: OrchestratorConfiguration, registry: MetricsRegistry, logger: Logger) {
        let durations = registry.histogram(
            "db_query_duration_seconds", "Time of one statement, by statement.", labels: ["statement"]
        )
        var postgres = configuration.postgres
        postgres.observer = { statement, duration, _ in durations[statement].observe(duration) }
        pool = PostgresPool(postgres, logger: logger)
        tasks = TaskStore(pool: pool)
        outbox = OutboxStore(pool: pool)
        records = ReconciliationStore(pool: pool)
        agents = AgentStore(pool: pool)
        budgets = BudgetStore(pool: pool)
        rateLimits = RateLimitStore(pool: pool)
        governance = GovernanceStore(pool: pool)
        reviews = ReviewStore(pool: pool) { session, votes, atDeadline in
            Tally(session.terms, votes).outcome(atDeadline: atDeadline)
        }
        taskReviews = TaskReviewStore(pool: pool)
        workflows = WorkflowStore(pool: pool)
        escalations = EscalationStore(pool: pool)
        deadLetters = DeadLetterStore(pool: pool)
        sandbox = SandboxStore(pool: pool)
        taskExecutions = TaskExecutionStore(pool: pool)
    }

    /// Writes what was submitted, then closes the connections.
    func shutdown(within limit: Duration) async {
        await tasks.shutdown()
        await budgets.shutdown()
        await reviews.shutdown()
        await pool.shutdown(within: limit)
    }

    /// Throws unless the tables are there.
    func checkSchema() async throws { _ = try await records.streams() }
}

/// What does the tasks' work, and the API in front of it.
struct Work: Sendable {
    let census: ReplicaCensus
    let limits: RateLimits
    let api: TaskAPI
    let workflows: WorkflowAPI
    let escalations: EscalationAPI
    let deadLetters: DeadLetterAPI
    let services: [any Service]

    init(
        _ configuration: OrchestratorConfiguration, stores: Stores, bus: MessageBus, redis: RedisConnection,
        registry: MetricsRegistry, logger: Logger
    ) throws {
        let instruments = Instruments(registry, tracer: bus.tracer)
        let decider = Decider(
            workflows: WorkflowCatalogue(store: stores.workflows), prompts: PromptBook(store: stores.governance),
            clock: SharedClock(store: stores.records, logger: logger))
        let publisher = EffectPublisher(bus: bus, outbox: stores.outbox, logger: logger)
        let agents = AgentDirectory(bus: bus, logger: logger)
        let requester = ReviewRequester(
            bus: bus, store: stores.taskReviews, agents: agents, decider: decider, logger: logger)
        let tester = ExecutionRequester(bus: bus, stores: stores, decider: decider, logger: logger)
        let census = ReplicaCensus(bus: bus, logger: logger)
        self.census = census
        let rateLimits = try RateLimits(configuration.rateLimits, redis: redis, census: census, logger: logger)
        limits = rateLimits
        let tokens = TokenSettler(limits: rateLimits, estimate: configuration.taskBudgetTokens)
        let hub = EventHub(bus: bus, census: census, logger: logger)
        var limits = DispatchBook.Limits()
        limits.tenantConcurrency = configuration.tenantConcurrency
        let recent = RecentTasks()
        let dispatcher = Dispatcher(
            limits: limits, tasks: stores.tasks, counts: stores.records, decider: decider, publisher: publisher,
            reviews: requester, executions: tester, hub: hub, bus: bus, agents: agents, instruments: instruments,
            tokens: tokens, recent: recent, labelLimits: { rateLimits.table.labelLimits }, logger: logger
        )
        let changer = TaskChanger(
            tasks: stores.tasks, decider: decider, dispatcher: dispatcher, instruments: instruments, logger: logger)
        let reports = ReportApplier(bus: bus, recent: recent, changer: changer)
        let decisions = DecisionApplier(bus: bus, reviews: stores.taskReviews, changer: changer)
        let results = ExecutionApplier(
            bus: bus, executions: stores.taskExecutions, requester: tester, changer: changer, logger: logger)
        let leadership = Self.leadership(
            configuration, stores, bus, registry, agents, changer, publisher, requester, decisions, results,
            logger: logger
        )
        let judge = TaskJudge(changer: changer)
        workflows = WorkflowAPI(store: stores.workflows, catalogue: decider.workflows)
        escalations = EscalationAPI(store: stores.escalations, judge: judge)
        let submitter = TaskSubmitter(
            tasks: stores.tasks, decider: decider, dispatcher: dispatcher, instruments: instruments,
            budgetDefault: configuration.taskBudgetTokens)
        deadLetters = DeadLetterAPI(
            store: stores.deadLetters, tasks: stores.tasks, submitter: submitter, tokens: tokens)
        api = TaskAPI(
            store: stores.tasks, submitter: submitter, judge: judge, tokens: tokens, hub: hub, agents: agents,
            agentStore: stores.agents, bus: bus, reviews: stores.reviews, workflows: decider.workflows,
            limits: rateLimits)
        services =
            [publisher, agents, census, hub, Running("hints", run: dispatcher.listen), reports, requester, decisions]
            + [
                Running("clock", run: decider.clock.run), tester, results, leadership, tokens,
                ResolutionApplier(bus: bus, escalations: stores.escalations, judge: judge, logger: logger),
            ] + rateLimits.services(store: stores.rateLimits, bus: bus, logger: logger)
            + Self.gauges(stores, bus: bus, registry: registry, logger: logger)
    }

    private static func leadership(
        _ configuration: OrchestratorConfiguration, _ stores: Stores, _ bus: MessageBus, _ registry: MetricsRegistry,
        _ agents: AgentDirectory, _ changer: TaskChanger, _ publisher: EffectPublisher, _ requester: ReviewRequester,
        _ decisions: DecisionApplier, _ results: ExecutionApplier, logger: Logger
    ) -> Leadership {
        let buried = BuriedMessages(records: stores.records, changer: changer, logger: logger)
        return Leadership(
            election: PostgresLeadership(configuration.postgres, key: Leadership.lockKey, logger: logger),
            dispatcher: changer.dispatcher,
            relay: OutboxRelay(outbox: stores.outbox, publisher: publisher, buried: buried, logger: logger),
            reconciler: Reconciler(
                stores: stores, ledger: LedgerCheck(budgets: stores.budgets, registry: registry, logger: logger),
                agents: agents, changer: changer, logger: logger
            ),
            lostWork: LostWork(
                bus: bus, outbox: stores.outbox, records: stores.records, agents: agents, decider: changer.decider,
                reviews: requester, logger: logger
            ),
            reviews: ReviewRecovery(
                bus: bus, reviews: stores.taskReviews, requester: requester, applier: decisions, logger: logger),
            buried: buried,
            executions: ExecutionRecovery(
                bus: bus, executions: stores.taskExecutions, applier: results, logger: logger),
            logger: logger
        )
    }

    private static func gauges(
        _ stores: Stores, bus: MessageBus, registry: MetricsRegistry, logger: Logger
    ) -> [any Service] {
        let sweeper = ReservationSweeper(budgets: stores.budgets, logger: logger)
        let budgets = BudgetGauges(budgets: stores.budgets, registry: registry, logger: logger)
        let backlogs = BacklogGauges(outbox: stores.outbox, bus: bus, registry: registry, logger: logger)
        return [
            Running("reservations", run: sweeper.run), Running("budget-gauges", run: budgets.run),
            Running("backlog-gauges", run: backlogs.run),
        ]
    }
}
