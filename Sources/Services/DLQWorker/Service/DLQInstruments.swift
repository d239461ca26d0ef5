internal import Bootstrap
internal import Contracts
internal import Storage

/// What the worker counts, by the names that dashboards and alerts use.
struct DLQInstruments: Sendable {
    private let unresolved: Gauge
    private let critical: Gauge
    private let filed: CounterFamily
    private let replays: CounterFamily
    private let alerts: CounterFamily

    init(_ registry: MetricsRegistry) {
        unresolved = registry.gauge("dlq_messages_unresolved", "Dead letters that nobody has resolved.")[]
        critical =
            registry.gauge(
                "dlq_messages_unresolved_critical", "Those of them on subjects that may not wait.")[]
        filed = registry.counter(
            "dlq_messages_filed_total", "Dead letters filed, by the reason they were given up for.", labels: ["reason"]
        )
        replays = registry.counter(
            "dlq_messages_replayed_total", "Dead letters looked at by replays, by what became of them.",
            labels: ["outcome"]
        )
        alerts = registry.counter(
            "dlq_alerts_sent_total", "Alerts told to sinks, by sink and outcome.", labels: ["sink", "outcome"]
        )
    }

    func filed(_ letter: FiledLetter) { filed[letter.reason].add() }

    func counted(_ count: DeadLetterCount) {
        unresolved.set(count.unresolved)
        critical.set(count.critical)
    }

    func replayed(_ fates: [LetterFate]) {
        for (outcome, alike) in Dictionary(grouping: fates, by: \.outcome) {
            replays[outcome.rawValue].add(alike.count)
        }
    }

    func alerted(_ sink: String, isTold: Bool) { alerts[sink, isTold ? "told" : "failed"].add() }
}
