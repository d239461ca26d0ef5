internal import Bootstrap
internal import Foundation
import Testing

@Suite struct MetricsRegistryTests {
    @Test func `counters, gauges and histograms are written as Prometheus reads them`() {
        let registry = MetricsRegistry()
        let requests = registry.counter("requests_total", "Requests.", labels: ["route", "status"])
        requests["/tasks/{id}", "200"].add()
        requests["/tasks/{id}", "200"].add(2)
        requests["/tasks", "429"].add()
        registry.gauge("depth", "Depth.")[].set(2.5)
        let waits = registry.histogram("wait_seconds", "Waits.", buckets: [0.1, 1])
        for seconds in [0.0625, 1, 7] { waits[].observe(seconds) }
        waits[].observe(.milliseconds(250))
        #expect(
            registry.text() == """
                # HELP depth Depth.
                # TYPE depth gauge
                depth 2.5
                # HELP requests_total Requests.
                # TYPE requests_total counter
                requests_total{route="/tasks",status="429"} 1
                requests_total{route="/tasks/{id}",status="200"} 3
                # HELP wait_seconds Waits.
                # TYPE wait_seconds histogram
                wait_seconds_bucket{le="0.1"} 1
                wait_seconds_bucket{le="1"} 3
                wait_seconds_bucket{le="+Inf"} 4
                wait_seconds_sum 8.3125
                wait_seconds_count 4
                # HELP metrics_series_dropped_total Label sets refused because their metric had too many.
                # TYPE metrics_series_dropped_total counter
                metrics_series_dropped_total 0

                """
        )
    }

    @Test func `a metric without labels shows its zero from the start`() {
        let registry = MetricsRegistry()
        _ = registry.counter("dropped_total", "Dropped.")
        #expect(registry.text().contains("\ndropped_total 0\n"))
    }

    @Test func `label values are escaped`() {
        let registry = MetricsRegistry()
        registry.gauge("g", "Line\nand \\.", labels: ["x"])["a\"b\\c\nd"].set(1)
        let text = registry.text()
        #expect(text.contains(#"# HELP g Line\nand \\."#))
        #expect(text.contains(#"g{x="a\"b\\c\nd"} 1"#))
    }

    @Test func `label sets beyond the bound are counted and kept nowhere`() {
        let registry = MetricsRegistry(seriesMax: 3)
        let counter = registry.counter("c_total", "C.", labels: ["who"])
        for index in 0..<10 { counter["\(index)"].add() }
        counter["0"].add()
        let text = registry.text()
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("c_total{") }.count == 3)
        #expect(text.contains("c_total{who=\"0\"} 2"))
        #expect(text.contains("metrics_series_dropped_total 7"))
    }

    @Test func `a gauge whose subject is gone can be removed, and collectors bring gauges up to date`() {
        let registry = MetricsRegistry()
        let gauge = registry.gauge("g", "G.", labels: ["x"])
        registry.collect { gauge["now"].add(1) }
        gauge["old"].set(1)
        gauge.remove("old")
        _ = registry.text()
        let text = registry.text()
        #expect(!text.contains("old") && text.contains("g{x=\"now\"} 2"))
    }

    @Test func `the same name gives the same metric`() {
        let registry = MetricsRegistry()
        registry.counter("a_total", "A.")[].add()
        registry.counter("a_total", "A.")[].add()
        #expect(registry.counter("a_total", "A.")[].current == 2)
    }

    @Test func `counting from many tasks loses nothing`() async {
        let registry = MetricsRegistry()
        let counter = registry.counter("n_total", "N.", labels: ["x"])
        let gauge = registry.gauge("g", "G.")[]
        let histogram = registry.histogram("h_seconds", "H.")[]
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        counter["\(task % 2)"].add()
                        gauge.add(1)
                        histogram.observe(0.5)
                    }
                }
            }
        }
        #expect(counter["0"].current + counter["1"].current == 8000)
        #expect(gauge.current == 8000)
        #expect(histogram.count == 8000 && histogram.sum == 4000)
    }

    @Test func `the edges promised to alerts are there`() {
        let registry = MetricsRegistry()
        HTTPServerMetrics(registry).record(route: "/tasks", method: "POST", status: 202, elapsed: .milliseconds(3))
        let text = registry.text()
        for edge in ["0.1", "1", "30", "180", "+Inf"] {
            #expect(
                text.contains(
                    "http_request_duration_seconds_bucket{route=\"/tasks\",method=\"POST\",le=\"\(edge)\"} 1\n"))
        }
        #expect(text.contains("http_requests_total{route=\"/tasks\",method=\"POST\",status=\"202\"} 1\n"))
    }

    @Test func `callers are told apart by so many buckets, and by nothing else`() {
        let registry = MetricsRegistry()
        let http = HTTPServerMetrics(registry, tellsCallersApart: true)
        for number in 0..<1000 { http.failed(caller: "acme/\(number)") }
        let text = registry.text()
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("http_caller_errors_total{") }
        #expect(lines.count == HTTPServerMetrics.callerBuckets && !text.contains("acme"))
        let counts = lines.compactMap { Int($0.split(separator: " ")[1]) }
        #expect(counts.reduce(0, +) == 1000 && counts.allSatisfy { $0 > 0 }, "\(counts)")
        #expect((0..<64).contains(HTTPServerMetrics.bucket(of: "")))
        let silent = MetricsRegistry()
        HTTPServerMetrics(silent).failed(caller: "acme/ada")
        #expect(!silent.text().contains("http_caller_errors_total"))
    }

    @Test func `the process tells its memory, time, files and build`() throws {
        let registry = MetricsRegistry()
        ProcessMetrics.install(in: registry)
        let lines = registry.text().split(separator: "\n")
        func value(_ name: String) -> Double? {
            lines.first { $0.hasPrefix(name + " ") }.flatMap { Double($0.split(separator: " ")[1]) }
        }
        #expect(try #require(value("process_resident_memory_bytes")) > 1_000_000)
        #expect(try #require(value("process_virtual_memory_bytes")) > 1_000_000)
        #expect(try #require(value("process_cpu_seconds_total")) >= 0)
        #expect(try #require(value("process_open_fds")) >= 3)
        #expect(try #require(value("process_max_fds")) >= 3)
        let start = try #require(value("process_start_time_seconds"))
        #expect(abs(Date().timeIntervalSince1970 - start) < 86_400)
        #expect(lines.contains("golden_build_info{version=\"\(Version.current)\"} 1"))
    }
}
