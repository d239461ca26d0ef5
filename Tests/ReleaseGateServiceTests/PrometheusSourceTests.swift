import Bootstrap
import Foundation
import ReleaseGateCore
import TestSupport
import Testing

@testable import ReleaseGateService

/// What is Prometheus' own among the sources of evidence.
@Suite(.timeLimit(.minutes(10))) struct `Evidence from Prometheus` {
    private static let start = 1_793_491_200
    /// Hours of samples, every 30 s.
    private static let seconds = 5 * 3600
    private static let (from, to) = (date(0), date(seconds))

    private static func date(_ seconds: Int) -> Date { Date(timeIntervalSince1970: TimeInterval(start + seconds)) }

    /// One series from a time on, as OpenMetrics.
    private static func lines(
        _ metric: String, _ labels: String, since: Int = 0, _ value: (_ seconds: Int) -> Int
    ) -> [String] {
        stride(from: since, through: seconds, by: 30).map { "\(metric){\(labels)} \(value($0)) \(start + $0)" }
    }

    /// In the namespace one, a process that is as old as the samples, one that began an hour before their end, and one
    /// of which Prometheus learned an hour before their end; in two, one that is away at last.
    private static let past: String = {
        func labels(_ instance: String, _ namespace: String = "one") -> String {
            "instance=\"\(instance):1\",job=\"a\",namespace=\"\(namespace)\""
        }
        let (late, last) = (seconds - 7200, seconds - 3600)
        let all: [[String]] = [
            lines("errors_total", labels("b"), since: last) { _ in 5 },
            lines("errors_total", labels("c"), since: last) { _ in 7 },
            lines("errors_total", labels("d", "two")) { $0 / 30 },
            lines("errors_total", labels("a") + ",route=\"x\"", since: late) { _ in 4 },
            // It begins anew every ten minutes.
            lines("loops_total", labels("e", "loops")) { $0 % 600 / 30 },
            lines("process_start_time_seconds", labels("a")) { _ in start - 100_000 },
            lines("process_start_time_seconds", labels("b"), since: last) { _ in start + last - 20 },
            lines("process_start_time_seconds", labels("c"), since: last) { _ in start - 5000 },
            lines("requests_total", labels("a")) { 2 * $0 / 30 },
            lines("up", labels("a")) { _ in 1 }, lines("up", labels("b"), since: last) { _ in 1 },
            lines("up", labels("c"), since: last) { _ in 1 },
            lines("up", labels("d", "two")) { $0 == seconds ? 0 : 1 },
        ]
        return all.flatMap(\.self).joined(separator: "\n") + "\n# EOF\n"
    }()

    private static let server = Task { try await PrometheusServer.started(openMetrics: past) }

    private static func source(_ namespace: String? = "one") async throws -> PrometheusSource {
        let source = PrometheusSource(url: try await server.value.url)
        return namespace.map { source.within(namespace: $0) } ?? source
    }

    private static func read(
        _ selector: String, from: Date = Self.from, in namespace: String? = "one"
    ) async throws -> SelectorReading {
        try await source(namespace).read([try SeriesSelector(parsing: selector)], from: from, to: to)[0]
    }

    @Test func `hours are read in pieces, and no sample twice`() async throws {
        let reading = try await Self.read(#"requests_total{job="a"}"#)
        let times = try #require(reading.series.first).samples.map(\.at)
        #expect(times == (0...Self.seconds / 30).map { Self.date($0 * 30) })
        #expect(CounterReading(reading, from: Self.from, to: Self.to) == .counted(Double(2 * Self.seconds / 30)))
    }

    @Test func `a counter began where its target was scraped without it, or where its process did`() async throws {
        // 4 of a kind that had not happened, 5 of a new process; of the 7 nobody knows when they were.
        let reading = try await Self.read(#"errors_total{job="a"}"#)
        #expect(CounterReading(reading, from: Self.from, to: Self.to) == .counted(9))
        // Within thirty days all of it began.
        let days = Self.to.addingTimeInterval(-30 * 86_400)
        let counts = [#"errors_total{job="a"}"#: 16, #"requests_total{job="a"}"#: 2 * Self.seconds / 30]
        for (selector, count) in counts {
            let sparse = CounterReading(try await Self.read(selector, from: days), from: days, to: Self.to)
            #expect(sparse == .counted(Double(count)), "\(selector)")
        }
    }

    @Test func `thirty days show what a process counted that crashed again and again`() async throws {
        let days = Self.to.addingTimeInterval(-30 * 86_400)
        let reading = try await Self.read(#"loops_total{job="a"}"#, from: days, in: "loops")
        let counted = CounterReading(reading, from: days, to: Self.to, spansRestarts: true)
        guard case .counted(let count) = counted else {
            Issue.record("\(counted)")
            return
        }
        // Of 19 in each of 30 lives, what was counted in the last minutes of each is lost.
        #expect(count > 300 && count <= 570, "\(count)")
    }

    @Test func `a gauge has no beginning`() async throws {
        let reading = try await Self.read(#"process_start_time_seconds{job="a"}"#)
        #expect(reading.series.count == 3 && reading.series.allSatisfy { $0.samples[0].value > 0 })
    }

    @Test func `one namespace's series are counted, and its targets looked at`() async throws {
        let errors = #"errors_total{job="a"}"#
        let all = CounterReading(try await Self.read(errors, in: nil), from: Self.from, to: Self.to)
        guard case .partial(let gap) = all else {
            Issue.record("\(all)")
            return
        }
        #expect(gap.answered == 3 && gap.targets == 4)
        let two = CounterReading(
            try await Self.read(errors, in: "two"), from: Self.from, to: Self.date(Self.seconds - 30))
        #expect(two == .counted(Double(Self.seconds / 30 - 1)))
        #expect(try await Self.read(errors, in: "three").series.isEmpty)
    }

    /// At eight thousand points each, 323 series were more than an answer may be.
    @Test func `days of many series fit into an answer`() async throws {
        let server = try await ManySeries.started(400)
        let start = Self.to.addingTimeInterval(-6 * 86_400)
        let reading = try await PrometheusSource(url: server.url).read(
            [try SeriesSelector(parsing: "requests_total")], from: start, to: Self.to)[0]
        #expect(CounterReading(reading, from: start, to: Self.to, staleAfter: 1) == .counted(400 * 1994))
    }

    /// Of processes that are replaced every three days, with sixty series each.
    @Test func `a look at a month of hundreds of series asks for little, and keeps less`() async throws {
        let server = try await ManySeries.started(60, lifeSeconds: 3 * 86_400)
        let source = PrometheusSource(url: server.url)
        let days = Self.to.addingTimeInterval(-30 * 86_400)
        let requests = try SeriesSelector(parsing: #"requests_total{service="ledger",track="stable"}"#)
        let reading = try await source.read([requests], from: days, to: Self.to)[0]
        let kept = reading.series.reduce(0) { $0 + $1.samples.count }
        #expect(kept <= 10_000, "\(kept) samples")
        let counted = CounterReading(reading, from: days, to: Self.to, spansRestarts: true)
        guard case .counted(let count) = counted else {
            Issue.record("\(counted)")
            return
        }
        // One in each of 9970 steps, but for that in which a process ends.
        #expect(count > 60 * 9950 && count <= 60 * 9970, "\(count)")

        let objective = ServiceLevelObjective(
            name: "ledger-errors", service: "ledger",
            indicator: ServiceLevelObjective.Indicator(
                bad: #"failures_total{service="ledger"}"#, total: #"requests_total{service="ledger"}"#),
            budget: try #require(ErrorBudget(target: 0.99)))
        let collector = EvidenceCollector(
            source: source, policy: GatePolicy(objectives: [objective]), sides: GateConfiguration.Sides())
        let began = Self.to.addingTimeInterval(-1800)
        let before = try await server.asked() ?? 0
        _ = try await collector.collect(
            services: ["ledger"], at: .init(walkBegan: began, stepBegan: began, now: Self.to))
        let after = try await server.asked() ?? .max
        // Each side: 2 counters in 2 pieces of hours and 11 of days; up and the processes' beginnings, once for each.
        #expect(after - before <= 2 * (2 * (2 + 11) + 2 * 2), "\(after - before) requests")
    }

    /// Raw and sparse, of counters and of targets; the answers' bound is lowered in place of thousands of series.
    @Test(arguments: [6 * 3600, 30 * 86_400])
    func `what does not fit into an answer is asked for in halves`(seconds: Int) async throws {
        let server = try await ManySeries.started(50)
        let whole = PrometheusSource(url: server.url)
        var narrow = whole
        narrow.fetch.answerBytesMax = 200_000
        let start = Self.to.addingTimeInterval(-TimeInterval(seconds))
        let requests = [try SeriesSelector(parsing: #"requests_total{service="ledger"}"#)]
        let all = try await whole.read(requests, from: start, to: Self.to)[0]
        let before = try await server.asked() ?? .max
        let halves = try await narrow.read(requests, from: start, to: Self.to)[0]
        let after = try await server.asked() ?? 0
        #expect(halves.series == all.series && !all.series.isEmpty)
        #expect(after - before > before, "\(after - before) requests after \(before)")
    }

    @Test func `what fits into no answer however short is an error`() async throws {
        let server = try await ManySeries.started(50)
        var source = PrometheusSource(url: server.url)
        source.fetch.answerBytesMax = 2000
        let narrow = source
        let selector = try SeriesSelector(parsing: "requests_total")
        let error = await #expect(throws: GateError.self) {
            _ = try await narrow.read([selector], from: Self.from, to: Self.to)
        }
        #expect(error?.code == .badAnswer && error?.message.contains("the answer is too large") == true)
    }

    @Test func `an answer that is too large is called so`() async throws {
        let pages = try await MetricsPages.started()
        try pages.show(String(repeating: "#", count: HTTPFetch.answerBytesMax + 1), at: "metrics")
        let error = await #expect(throws: GateError.self) { try await HTTPFetch()(pages.url + "/metrics") }
        #expect(error?.code == .badAnswer && error?.message.contains("the answer is too large") == true)
    }
}

/// Environments that one Prometheus sees.
@Suite(.timeLimit(.minutes(10))) struct `Evidence of an environment` {
    private static let end = 1_793_500_000

    /// An hour of the ledger in two namespaces, in one of which the canary fails.
    private static func past() -> String {
        var lines: [String] = []
        for (namespace, bad) in [("fails", 12), ("works", 0)] {
            for (track, rate, failing) in [("canary", 60, bad), ("stable", 540, 0)] {
                for (status, count) in [("200", rate - failing), ("500", failing)] {
                    let side = "service=\"ledger\",track=\"\(track)\",status=\"\(status)\""
                    let labels = "namespace=\"\(namespace)\",\(side)"
                    for look in 0...120 {
                        lines.append("http_requests_total{\(labels)} \(count * look) \(end - (120 - look) * 30)")
                    }
                }
            }
        }
        return lines.joined(separator: "\n") + "\n# EOF\n"
    }

    @Test func `is its namespace's, and no other's`() async throws {
        let server = try await PrometheusServer.started(openMetrics: Self.past())
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try folder.keepFirstService()
        try folder.write(
            "gate.yaml",
            try folder.read("gate.yaml").replacing("{recorded: evidence.json}", with: "{prometheus: \"\(server.url)\"}")
                .replacing("namespace: golden-architecture", with: "namespace: {dev: fails, prod: works}"))
        let release = try folder.release
        func evaluate(_ environment: String, _ settings: [String: String] = [:]) async throws -> Int32 {
            var question = GateSession.Question()
            question.environment = environment
            question.at = Self.end
            question.step = 1
            let asked = question
            return try await folder.gate(settings: ServiceConfiguration(environment: settings)) {
                try await $0.evaluate(release, asked)
            }
        }
        #expect(try await evaluate("dev") == 20)
        #expect(try await evaluate("prod") == 0)
        #expect(try await evaluate("dev", ["GOLDEN_GATE_NAMESPACE": "works"]) == 0)
        let error = await #expect(throws: GateError.self) { try await evaluate("staging") }
        #expect(error?.code == .invalid && error?.message.contains("no namespace of staging") == true)
        try await folder.gate { try await $0.status(environment: "prod", at: Self.end) }
        let unknown = await #expect(throws: GateError.self) {
            try await folder.gate { try await $0.status(environment: "staging", at: Self.end) }
        }
        #expect(unknown?.code == .invalid && unknown?.message.contains("no namespace of staging") == true)
    }
}
