internal import Bootstrap

/// What is counted of webhooks.
struct WebhookMetrics: Sendable {
    enum Event: String { case delivered, retrying, failed, parked, released, postponed }

    private let deliveries: CounterFamily
    private let oldest: Gauge
    private let underWay: Gauge

    init(_ registry: MetricsRegistry) {
        deliveries = registry.counter(
            "webhook_deliveries_total", "What became of deliveries, by outcome.", labels: ["outcome"]
        )
        oldest = registry.gauge("webhook_oldest_due_seconds", "How long the oldest delivery has been due or parked.")[]
        underWay = registry.gauge("webhook_attempts_under_way", "Attempts of this replica.")[]
    }

    func count(_ event: Event, _ count: Int = 1) { if count > 0 { deliveries[event.rawValue].add(count) } }

    func show(oldestSeconds: Double, underWay: Int) {
        oldest.set(oldestSeconds)
        self.underWay.set(underWay)
    }
}
