/// The metrics of an HTTP server, by the names that alerts use.
package struct HTTPServerMetrics: Sendable {
    private let requests: CounterFamily
    private let durations: HistogramFamily

    package init(_ registry: MetricsRegistry) {
        requests = registry.counter(
            "http_requests_total", "Requests answered, by route pattern, method and status.",
            labels: ["route", "method", "status"]
        )
        durations = registry.histogram(
            "http_request_duration_seconds", "Time until an answer's head was ready.", labels: ["route", "method"]
        )
    }

    /// - Parameter route: the pattern, never a request's own path.
    package func record(route: String, method: String, status: Int, elapsed: Duration) {
        requests[route, method, String(status)].add()
        durations[route, method].observe(elapsed)
    }
}
