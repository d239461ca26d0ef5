internal import Synchronization

/// The metrics of an HTTP server, by the names that alerts use.
package final class HTTPServerMetrics: Sendable {
    /// One set of labels. Routes, methods and statuses are few, whatever callers send.
    private struct Kind: Hashable {
        let route: String
        let method: String
        let status: Int
    }

    private let requests: CounterFamily
    private let durations: HistogramFamily
    private let dependencies: GaugeFamily
    private let known = Mutex<[Kind: (requests: Counter, durations: Histogram)]>([:])

    package init(_ registry: MetricsRegistry) {
        requests = registry.counter(
            "http_requests_total", "Requests answered, by route pattern, method and status.",
            labels: ["route", "method", "status"]
        )
        durations = registry.histogram(
            "http_request_duration_seconds", "Time until an answer's head was ready.", labels: ["route", "method"]
        )
        dependencies = registry.gauge(
            "dependency_up", "1 while this process can use the dependency, by readiness check.", labels: ["dependency"]
        )
    }

    /// What a readiness check said.
    @Sendable package func checked(_ dependency: String, isUp: Bool) { dependencies[dependency].set(isUp ? 1 : 0) }

    /// - Parameter route: the pattern, never a request's own path.
    package func record(route: String, method: String, status: Int, elapsed: Duration) {
        let kind = Kind(route: route, method: method, status: status)
        let series = known.withLock { known in
            if let series = known[kind] { return series }
            let series = (requests[route, method, String(status)], durations[route, method])
            known[kind] = series
            return series
        }
        series.requests.add()
        series.durations.observe(elapsed)
    }
}
