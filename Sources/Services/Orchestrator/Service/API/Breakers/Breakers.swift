internal import Bootstrap
internal import Contracts
internal import Coordination
internal import Logging
internal import MessageBus
internal import Redis
internal import ServiceLifecycle
internal import Synchronization

/// The orchestrator's circuit breakers, tied to the bus, the metrics and the API.
struct Breakers: Sendable {
    /// What every installation depends on, shown from the start. Others appear with their first call.
    static let known = ["external_api"]

    let registry: BreakerRegistry
    let api: BreakerAPI
    /// Keeps them in step with the other replicas.
    let service: any Service

    init(
        redis: RedisConnection, bus: MessageBus, census: ReplicaCensus, metrics: MetricsRegistry, logger: Logger
    ) throws {
        let registry = BreakerRegistry(
            redis: redis, replica: census.me, replicas: { census.count() }, logger: logger,
            onNews: { bus.tellOfBreaker($0, version: $1) }
        )
        for name in Self.known { _ = try registry.breaker(name) }
        Self.show(registry, in: metrics)
        self.registry = registry
        api = BreakerAPI(registry: registry)
        service = Running("breakers", run: { try await Self.run(registry, bus) })
    }

    /// Shows how each breaker stands here. One that was retired is shown no longer.
    static func show(_ registry: BreakerRegistry, in metrics: MetricsRegistry) {
        let states = metrics.gauge(
            "circuit_breaker_state", "0 closed, 1 half-open, 2 open, as this replica acts.", labels: ["name"]
        )
        let shown = Mutex<Set<String>>([])
        metrics.collect {
            // All of it under the lock: of two renderings at once the later one has the last word.
            shown.withLock { shown in
                let statuses = registry.statuses
                let names = Set(statuses.map(\.name))
                for gone in shown.subtracting(names) { states.remove(gone) }
                for status in statuses { states[status.name].set(status.state.rawValue) }
                shown = names
            }
        }
    }

    private static func run(_ registry: BreakerRegistry, _ bus: MessageBus) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await registry.run() }
            group.addTask { try await bus.hearOfBreakers { registry.heard($0, version: $1) } }
            try await group.waitForAll()
        }
    }
}
