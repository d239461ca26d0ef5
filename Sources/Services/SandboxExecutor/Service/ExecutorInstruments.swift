internal import Bootstrap
internal import Contracts

/// What an executor counts, by the names that dashboards, alerts and autoscaling use.
struct ExecutorInstruments: Sendable {
    private let total: CounterFamily
    private let timeouts: Counter
    private let time: HistogramFamily
    private let depth: Gauge
    private let running: Gauge
    private let warm: GaugeFamily

    init(_ registry: MetricsRegistry) {
        total = registry.counter(
            "sandbox_executions_total", "Runs that ended on this replica, by language and status.",
            labels: ["language", "status"]
        )
        timeouts = registry.counter("sandbox_executions_timeout_total", "Runs that were stopped for time.")[]
        time = registry.histogram(
            "sandbox_execution_time", "Seconds from the start of a run to its end, by language.", labels: ["language"]
        )
        depth = registry.gauge("sandbox_execution_queue_depth", "Runs of all tenants that wait for an executor.")[]
        running = registry.gauge("sandbox_executions_running", "Runs under way on this replica.")[]
        warm = registry.gauge(
            "sandbox_warm_interpreters", "Interpreters that wait for a program on this replica.", labels: ["language"])
    }

    func ended(_ language: String, _ outcome: SandboxOutcome) {
        total[language, outcome.status.rawValue].add()
        if outcome.status == .timeout { timeouts.add() }
        time[language].observe(Double(outcome.usage.wallMicroseconds) / 1e6)
    }

    func waiting(_ count: Int) { depth.set(count) }

    func running(_ count: Int) { running.set(count) }

    func warm(_ counts: [String: Int]) { for (language, count) in counts { warm[language].set(count) } }
}
