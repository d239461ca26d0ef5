import Contracts
import Foundation
import ReleaseGateService

/// What two targets would have said every 30 seconds for ten minutes, told to each kind of source in its own way.
struct EvidenceFixture: Sendable {
    typealias Page = [String: Double]

    static let start = Date(timeIntervalSince1970: 1_793_491_200)
    static let period = 30.0
    static let count = 21
    static var end: Date { start.addingTimeInterval(period * Double(count - 1)) }

    /// By target: its page at each time; nil when it did not answer.
    let pages: [String: [Page?]]

    static func time(_ index: Int) -> Date { start.addingTimeInterval(period * Double(index)) }
    static func labels(_ target: String) -> [String: String] { ["job": "orders", "instance": target] }

    static let standard = EvidenceFixture(pages: [
        "a:1": (0..<count).map { pageOfA($0) },
        "b:1": (0..<count).map { $0 == 5 ? nil : ["b_total": Double(2 * $0)] },
    ])

    private static func pageOfA(_ index: Int) -> Page? {
        var page: Page = [:]
        page["requests_total{status=\"200\"}"] = Double(7 + 5 * index)
        page["requests_total{status=\"500\"}"] = index >= 10 ? 36 : 0
        page["falls_total"] = Double(index < 12 ? 100 + index : index - 12)
        page["odd_total"] = index < 15 ? Double(index) : .nan
        if index < 8 { page["early_total"] = Double(index) }
        // The first three events of their kind begin the series.
        if index > 8 { page["late_total"] = Double(index - 6) }
        return page
    }

    /// OpenMetrics for promtool, with `up` as a scrape adds it.
    var openMetrics: String {
        var lines: [String: [String]] = [:]
        for (target, pages) in pages.sorted(by: { $0.key < $1.key }) {
            for (index, page) in pages.enumerated() {
                let time = "\(Int(Self.time(index).timeIntervalSince1970))"
                lines["up", default: []].append("up\(text(Self.labels(target))) \(page == nil ? 0 : 1) \(time)")
                for (series, value) in page ?? [:] {
                    let (metric, labels) = Self.split(series)
                    let all = labels.merging(Self.labels(target)) { $1 }
                    lines[series + target, default: []].append("\(metric)\(text(all)) \(number(value)) \(time)")
                }
            }
        }
        return lines.sorted { $0.key < $1.key }.flatMap(\.value).joined(separator: "\n") + "\n# EOF\n"
    }

    var history: SampleHistory {
        var history = SampleHistory()
        for index in 0..<Self.count {
            var outcomes: [SampleHistory.Round.Target] = []
            for (target, pages) in pages {
                let page = pages[index]
                outcomes.append(.init(labels: Self.labels(target), failure: page == nil ? "it was away" : nil))
                history.add(
                    "up", Self.labels(target), SeriesSample(at: Self.time(index), value: page == nil ? 0 : 1))
                for (series, value) in page ?? [:] {
                    let (metric, labels) = Self.split(series)
                    history.add(
                        metric, labels.merging(Self.labels(target)) { $1 },
                        SeriesSample(at: Self.time(index), value: value))
                }
            }
            history.add(SampleHistory.Round(at: Self.time(index), targets: outcomes))
        }
        return history
    }

    /// Lets a source scrape each page at its time.
    func scraped(from server: MetricsPages) async throws -> ScrapeSource {
        let source = ScrapeSource(
            targets: pages.keys.sorted().map {
                ScrapeTarget(url: "\(server.url)/\($0.prefix(1))", labels: Self.labels($0))
            })
        for index in 0..<Self.count {
            for (target, pages) in pages {
                let text = pages[index].map { page in
                    page.map { "\($0.key) \(number($0.value))\n" }.sorted().joined()
                }
                try server.show(text, at: String(target.prefix(1)))
            }
            await source.scrape(at: Self.time(index))
        }
        return source
    }

    private static func split(_ series: String) -> (metric: String, labels: [String: String]) {
        guard let brace = series.firstIndex(of: "{") else { return (series, [:]) }
        let status = series[brace...].split(separator: "\"")[1]
        return (String(series[..<brace]), ["status": String(status)])
    }

    private func text(_ labels: [String: String]) -> String {
        "{" + labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value)\"" }.joined(separator: ",") + "}"
    }

    private func number(_ value: Double) -> String { value.isNaN ? "NaN" : "\(value)" }
}
