import Contracts
import Foundation
import ReleaseGateService
import TestSupport
import Testing

/// Every source says the same of the same past.
@Suite(.timeLimit(.minutes(10))) struct `Evidence sources` {
    enum Kind: String, CaseIterable, Sendable { case prometheus, scrape, recorded }

    private static let shared = Task {
        let fixture = EvidenceFixture.standard
        let server = try await PrometheusServer.started(openMetrics: fixture.openMetrics)
        let pages = try await MetricsPages.started()
        return (server, PrometheusSource(url: server.url), try await fixture.scraped(from: pages))
    }

    static func source(_ kind: Kind) async throws -> any EvidenceSource {
        switch kind {
        case .prometheus: try await shared.value.1
        case .scrape: try await shared.value.2
        case .recorded:
            // Through its bytes, as a file holds them.
            RecordedSource(
                try SampleHistory(json: try JSON(parsing: EvidenceFixture.standard.history.json.bytes)), name: "file")
        }
    }

    private func count(
        _ kind: Kind, _ selector: String, from start: Int = 0, to end: Int = EvidenceFixture.count - 1
    ) async throws -> CounterReading {
        let (from, to) = (EvidenceFixture.time(start), EvidenceFixture.time(end))
        let source = try await Self.source(kind)
        let reading = try await source.read([try SeriesSelector(parsing: selector)], from: from, to: to)
        return CounterReading(reading[0], from: from, to: to)
    }

    @Test(arguments: Kind.allCases)
    func `events are counted exactly`(kind: Kind) async throws {
        #expect(try await count(kind, #"requests_total{instance="a:1",status="500"}"#) == .counted(36))
        #expect(try await count(kind, #"requests_total{instance="a:1",status="200"}"#) == .counted(100))
        #expect(try await count(kind, #"requests_total{instance="a:1",status=~"2..|5.."}"#) == .counted(136))
        #expect(try await count(kind, #"requests_total{instance="a:1",status!="500"}"#, from: 3, to: 4) == .counted(5))
    }

    @Test(arguments: Kind.allCases)
    func `what is not there is missing, and is no zero`(kind: Kind) async throws {
        #expect(try await count(kind, #"nothing_total{instance="a:1"}"#) == .missing)
        #expect(try await count(kind, #"requests_total{instance="a:1",status="404"}"#) == .missing)
    }

    @Test(arguments: Kind.allCases)
    func `what is no number is said to be none`(kind: Kind) async throws {
        #expect(try await count(kind, #"odd_total{instance="a:1"}"#) == .notANumber)
        #expect(try await count(kind, #"odd_total{instance="a:1"}"#, to: 14) == .counted(14))
    }

    @Test(arguments: Kind.allCases)
    func `a series that ended is stale`(kind: Kind) async throws {
        #expect(try await count(kind, #"early_total{instance="a:1"}"#) == .stale(ageSeconds: 13 * 30))
        #expect(try await count(kind, #"early_total{instance="a:1"}"#, to: 8) == .counted(7))
    }

    @Test(arguments: Kind.allCases)
    func `a series that begins within the window counts from zero`(kind: Kind) async throws {
        #expect(try await count(kind, #"late_total{instance="a:1"}"#) == .counted(14))
        #expect(try await count(kind, #"late_total{instance="a:1"}"#, from: 8) == .counted(14))
        #expect(try await count(kind, #"late_total{instance="a:1"}"#, from: 9) == .counted(11))
    }

    @Test(arguments: Kind.allCases)
    func `a counter that falls was reset`(kind: Kind) async throws {
        #expect(try await count(kind, #"falls_total{instance="a:1"}"#) == .reset)
        #expect(try await count(kind, #"falls_total{instance="a:1"}"#, from: 12) == .counted(8))
        let (from, to) = (EvidenceFixture.start, EvidenceFixture.end)
        let reading = try await Self.source(kind).read(
            [try SeriesSelector(parsing: #"falls_total{instance="a:1"}"#)], from: from, to: to)
        #expect(CounterReading(reading[0], from: from, to: to, spansRestarts: true) == .counted(19))
    }

    @Test(arguments: Kind.allCases)
    func `what answered is counted where gaps are no reason not to`(kind: Kind) async throws {
        let (from, to) = (EvidenceFixture.start, EvidenceFixture.end)
        let reading = try await Self.source(kind).read(
            [try SeriesSelector(parsing: #"b_total{job="orders"}"#)], from: from, to: to)
        #expect(CounterReading(reading[0], from: from, to: to, spansGaps: true) == .counted(40))
    }

    @Test(arguments: Kind.allCases)
    func `a target that does not answer makes what was counted partial`(kind: Kind) async throws {
        let broken = try await count(kind, #"b_total{job="orders"}"#)
        guard case .partial(let gap) = broken else {
            Issue.record("\(broken)")
            return
        }
        #expect(gap.answered == 1 && gap.targets == 2)
        #expect(try await count(kind, #"b_total{job="orders"}"#, from: 5) == .counted(32))
    }

    /// A look reads hours, with the step that it stands in: what was away in them shows as in minutes.
    @Test(arguments: Kind.allCases)
    func `hours are read sample by sample`(kind: Kind) async throws {
        let end = EvidenceFixture.end
        let reading = try await Self.source(kind).read(
            [try SeriesSelector(parsing: #"b_total{job="orders"}"#)], from: end.addingTimeInterval(-7 * 3600), to: end)
        #expect(reading[0].series.map(\.samples.count) == [EvidenceFixture.count - 1])
        let around = CounterReading(reading[0], from: EvidenceFixture.time(4), to: EvidenceFixture.time(6))
        guard case .partial(let gap) = around else {
            Issue.record("\(around)")
            return
        }
        #expect(gap.answered == 1 && gap.targets == 2)
    }

    @Test func `a server that is away is unreachable, and one that is no Prometheus answers badly`() async throws {
        let nowhere = PrometheusSource(url: "http://127.0.0.1:\(freePort())")
        let selector = try SeriesSelector(parsing: "up")
        let away = await #expect(throws: GateError.self) {
            try await nowhere.read([selector], from: EvidenceFixture.start, to: EvidenceFixture.end)
        }
        #expect(away?.code == .unreachable)
        let pages = try await MetricsPages.started()
        let bad = await #expect(throws: GateError.self) {
            try await PrometheusSource(url: pages.url).read(
                [selector], from: EvidenceFixture.start, to: EvidenceFixture.end)
        }
        #expect(bad?.code == .badAnswer)
    }

    @Test func `a first look counts from where the process began`() async throws {
        let pages = try await MetricsPages.started()
        let now = EvidenceFixture.end
        let began = now.addingTimeInterval(-600).timeIntervalSince1970
        try pages.show("process_start_time_seconds \(began)\nrequests_total 41\nload 7\n", at: "metrics")
        let source = ScrapeSource(targets: [ScrapeTarget(url: pages.url + "/metrics")])
        await source.scrape(at: now)
        let selectors = [try SeriesSelector(parsing: "requests_total"), try SeriesSelector(parsing: "load")]
        let from = now.addingTimeInterval(-3600)
        let readings = try await source.read(selectors, from: from, to: now)
        #expect(CounterReading(readings[0], from: from, to: now) == .counted(41))
        #expect(GaugeReading(readings[1], at: now, combine: { $0.max() ?? 0 }) == .value(7))

        // It starts anew and counts past the old value: nothing is taken for continued.
        let later = now.addingTimeInterval(60)
        try pages.show("process_start_time_seconds \(began + 630)\nrequests_total 50\n", at: "metrics")
        await source.scrape(at: later)
        let again = try await source.read([selectors[0]], from: now, to: later)
        #expect(CounterReading(again[0], from: now, to: later) == .reset)
        #expect(CounterReading(again[0], from: now, to: later, spansRestarts: true) == .counted(50))

        // A scrape that was cut off is no scrape.
        try pages.show("process_start_time_seconds \(began + 630)\nrequests_total 5", at: "metrics")
        await source.scrape(at: later.addingTimeInterval(30))
        let cut = try await source.read([selectors[0]], from: later, to: later.addingTimeInterval(30))
        guard case .partial = CounterReading(cut[0], from: later, to: later.addingTimeInterval(30)) else {
            Issue.record("\(cut)")
            return
        }
    }
}
