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
    /// By bucket; empty where callers are not told apart.
    private let callers: [Counter]
    private let known = Mutex<[Kind: (requests: Counter, durations: Histogram)]>([:])

    /// Callers are told apart by a hash that is the same in every process, so that a caller whose requests fail on two
    /// versions of a program is seen to be one. So many series there are, whoever calls.
    package static let callerBuckets = 64

    /// - Parameter tellsCallersApart: for a server that strangers call.
    package init(_ registry: MetricsRegistry, tellsCallersApart: Bool = false) {
        if tellsCallersApart {
            let family = registry.counter(
                "http_caller_errors_total", "Requests that ended with a 5xx status, by a hash of who called.",
                labels: ["bucket"])
            // All of them from the start: a series that begins with its first failure hides that one.
            callers = (0..<Self.callerBuckets).map { family[String($0)] }
        } else {
            callers = []
        }
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

    /// A request of this caller ended with a 5xx status. Nothing of the name is kept but its bucket.
    @Sendable package func failed(caller: String) {
        guard !callers.isEmpty else { return }
        callers[Self.bucket(of: caller)].add()
    }

    /// FNV-1a, folded.
    package static func bucket(of caller: String) -> Int {
        let hash = caller.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return Int((hash ^ (hash >> 32)) % UInt64(callerBuckets))
    }

    /// - Parameter route: the pattern, never a request's own path.
    @Sendable package func record(route: String, method: String, status: Int, elapsed: Duration) {
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
