internal import Bootstrap
internal import Coordination
internal import Logging
internal import MessageBus
internal import Redis
internal import ServiceLifecycle

/// The circuit breaker around a model endpoint: shared with the fleet over Redis where there is one, and what it means
/// for taking work. A service, to run as long as anything asks the model.
final class ModelGuard: Service {
    /// For the last words with Redis and the endpoint.
    private static let closeTimeout: Duration = .seconds(2)

    let breaker: CircuitBreaker
    /// While the breaker is open no work is taken; half-open, one item at a time, as probes.
    let intake: AsyncStream<Intake>
    private let intakeInput: AsyncStream<Intake>.Continuation
    private let changes: AsyncStream<BreakerStatus>
    private let registry: BreakerRegistry
    private let redis: RedisConnection?
    private let bus: MessageBus
    private let client: ModelClient

    /// How the breakers around models stand, for metrics.
    var statuses: [BreakerStatus] { registry.statuses }

    /// Throws when the endpoint's name cannot name a breaker.
    init(_ client: ModelClient, agent: String, bus: MessageBus, logger: Logger) throws(CoordinationError) {
        let settings = client.settings
        self.client = client
        self.bus = bus
        redis = settings.redis.map { RedisConnection($0, logger: logger) }
        // Whoever reports on this breaker is its fleet: agents that ask the same endpoint.
        registry = BreakerRegistry(
            redis: redis, replica: "\(agent).\(String(UInt32.random(in: 0...UInt32.max), radix: 36))",
            replicas: { 1 }, logger: logger,
            settings: BreakerRegistry.Settings(policy: settings.probingPolicy, interval: settings.breakerInterval),
            onNews: { bus.tellOfBreaker($0, version: $1) }
        )
        changes = registry.changes()
        breaker = try registry.breaker(settings.breaker)
        (intake, intakeInput) = AsyncStream.makeStream(of: Intake.self, bufferingPolicy: .bufferingNewest(1))
    }

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                if let redis = self.redis { group.addTask { try await redis.run() } }
                group.addTask { try await self.registry.run() }
                group.addTask { try await self.bus.hearOfBreakers { self.registry.heard($0, version: $1) } }
                group.addTask { await self.followState() }
                do {
                    try await group.waitForAll()
                } catch is CancellationError {
                    // The usual end.
                }
            }
        }
        await redis?.shutdown(within: Self.closeTimeout)
        try await client.shutDown()
    }

    private func followState() async {
        for await status in changes {
            switch status.state {
            case .closed: intakeInput.yield(.everything)
            case .halfOpen: intakeInput.yield(.one)
            case .open: intakeInput.yield(.nothing)
            }
        }
    }
}
