import Bootstrap
import Contracts
import Coordination
import Foundation
import OrchestratorCore
import Postgres
import TestSupport
import Testing

@testable import OrchestratorService
@testable import Storage

/// One tenant's receivers and names take nothing from another's.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `Webhook fairness` {
    @Test func `a tenant's silent receivers leave another's deliveries their slots`() async throws {
        // Longer than the other tenant has.
        let environment = OrchestratorUnderTest.webhookEnvironment
            .merging(["GOLDEN_WEBHOOK_TIMEOUT_SECONDS": "60"]) { $1 }
        try await OrchestratorUnderTest.run(environment: environment) { stack in
            try await Self.withSilentReceivers(8) { silent in
                try await WebhookReceiver.run { well in
                    for url in silent { _ = try await stack.subscribe(url) }
                    _ = try await stack.subscribe(well.url, tenant: "zeta")
                    for _ in 0..<20 { _ = try await stack.submit() }
                    try await eventually { try await Self.underWay(stack) == DeliverySlots.max / 2 }
                    for _ in 0..<20 { _ = try await stack.submit(tenant: "zeta") }
                    try await eventually(within: .seconds(50)) { well.received.count == 20 }
                    #expect(try await Self.underWay(stack) <= DeliverySlots.max / 2)
                }
            }
        }
    }

    private static func underWay(_ stack: OrchestratorUnderTest) async throws -> Int {
        try await stack.deliveries().filter { $0["under_way"]?.bool == true }.count
    }

    private static func withSilentReceivers(
        _ count: Int, _ urls: [String] = [], _ body: ([String]) async throws -> Void
    ) async throws {
        if urls.count == count { return try await body(urls) }
        try await WebhookReceiver.run { _ in
            .after(.seconds(120), status: 200)
        } _: { receiver in
            try await withSilentReceivers(count, urls + [receiver.url], body)
        }
    }

    @Test func `a delivery whose name gets no thread is put back uncounted, and its breaker learns nothing`()
        async throws
    {
        try await OrchestratorUnderTest.run(environment: OrchestratorUnderTest.webhookEnvironment) { stack in
            try await WebhookReceiver.run { receiver in
                _ = try await stack.subscribe(receiver.url)
                _ = try await stack.submit()
                try await stack.waitForDeliveries(1, "delivered")
                let shown = try #require(try await stack.deliveries().first)
                let id = try #require(shown["id"]?.string)
                let delivery = try Self.lastAttempt(of: #require(UUID(uuidString: id)))
                // As it is while that attempt is under way.
                try await stack.postgres.sql(
                    """
                    UPDATE webhook_deliveries SET state = 'pending', ended_at = NULL, attempts = \(delivery.attempt),
                        lease = '\(delivery.lease)', due_at = now() + interval '1 h'
                    """, database: stack.database)
                let registry = BreakerRegistry(
                    redis: nil, replica: "test", replicas: { 1 }, logger: OrchestratorUnderTest.quiet,
                    settings: .init(policy: BreakerPolicy(callsMin: 1)))
                let breaker = try registry.breaker("webhook:acme:one.example")
                try await Self.attempt(delivery, breaker, stack)
                #expect(breaker.status.failures == 0 && breaker.status.state == .closed)
                // Its last attempt is still to be made: the orchestrator makes it.
                try await stack.waitForDeliveries(1, "delivered")
                #expect(receiver.received.count == 2)
                #expect(try await stack.deliveries().first?["attempts"]?.int == delivery.attempt)
            }
        }
    }

    private static func lastAttempt(of id: UUID) throws -> LeasedDelivery {
        let tenant = TenantID(literal: "acme")
        guard let made = try secrets.make(for: tenant) else { throw OrchestratorUnderTest.Unexpected("no secret") }
        return LeasedDelivery(
            id: id, lease: UUID(), tenant: tenant, webhook: UUID(), task: TaskID(UUID()), sequence: 1,
            kind: "task.created", url: "http://one.example/hook",
            target: DeliveryTarget(tenant: tenant, host: "one.example"), attempt: 4,
            event: LeasedDelivery.Event(at: Date(), attempt: 1, data: .emptyObject), taskFacts: nil,
            receiver: LeasedDelivery.Receiver(
                isActive: true, secret: SealedSecret(sealed: made.sealed, changedAt: Date())))
    }

    private static let secrets = WebhookSecrets(installation: [Array(OrchestratorUnderTest.secret.utf8)])

    /// Makes the attempt while dead names hold all the threads that the tenant can get.
    private static func attempt(
        _ delivery: LeasedDelivery, _ breaker: CircuitBreaker, _ stack: OrchestratorUnderTest
    ) async throws {
        let held = HeldLookups()
        let resolver = HostResolver(timeout: .milliseconds(200), lookUp: held.lookUp)
        let pool = PostgresPool(
            PostgresConfiguration(
                connectionString: stack.postgres.connectionString(database: stack.database), applicationName: "test"),
            logger: OrchestratorUnderTest.quiet)
        let attempt = WebhookAttempt(
            deliveries: DeliveryStore(pool: pool), webhooks: WebhookStore(pool: pool), secrets: secrets,
            sender: WebhookSender(
                resolver: resolver, clients: PinnedClients(), addresses: AddressRules(),
                timeout: .seconds(2)),
            rules: DeliveryRules(attemptMax: delivery.attempt, firstWaitSeconds: 1),
            metrics: WebhookMetrics(MetricsRegistry()), tracer: .off, logger: OrchestratorUnderTest.quiet)
        resolver.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await pool.run() }
            for number in 0..<LookupQueue.threads / 2 {
                group.addTask { _ = await resolver.addresses(of: "dead\(number).example", for: delivery.tenant) }
            }
            try await held.waitUntilHolding(LookupQueue.threads / 2)
            try await attempt.run(delivery, breaker: breaker, ticket: nil)
            held.letGo()
            await pool.shutdown(within: .seconds(2))
            try await group.waitForAll()
        }
        try await resolver.shutdown()
    }
}
