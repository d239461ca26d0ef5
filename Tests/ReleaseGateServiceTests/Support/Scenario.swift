import Foundation
import ReleaseGateCore
import ReleaseGateService

/// One release's past, told to a real Prometheus: so many requests of each side every 30 seconds, and what its
/// processes, breakers and dead letters were like.
struct Scenario: Sendable {
    /// Every scenario ends here; each is a service of its own, so that all share one server.
    static let end = 1_793_500_000
    static let period = 30
    static let pastSeconds = 9000

    /// Of one side, in each period.
    struct Traffic: Sendable {
        var good: Int
        var bad: Int
    }

    let service: String
    var canary = Traffic(good: 60, bad: 0)
    var stable = Traffic(good: 540, bad: 0)
    /// Since when the canary gets its traffic; the stable side always had it, good until then.
    var stepSeconds = 1800
    var step = 0
    var schema = SchemaState.compatible
    var comparison = ServiceLevelObjective.Comparison.baseline
    /// Further lines, made of the seconds before the end.
    var more: @Sendable (_ secondsBeforeEnd: Int) -> [String] = { _ in [] }
    /// The canary's counters stop so long before the end.
    var silentSeconds = 0
    var hasCanary = true
    var isNotANumber = false

    let outcome: Decision.Outcome
    let row: Decision.Row
    /// What the explanation must say.
    let says: String

    var objective: ServiceLevelObjective {
        get throws {
            guard let budget = ErrorBudget(target: 0.99) else { throw TestFailure(description: "no budget") }
            let all = #"http_requests_total{service="\#(service)"}"#
            return ServiceLevelObjective(
                name: "\(service)-errors", service: service,
                indicator: ServiceLevelObjective.Indicator(
                    bad: #"http_requests_total{service="\#(service)",status=~"5.."}"#, total: all),
                budget: budget, comparison: comparison)
        }
    }

    /// By series: its lines in order of time.
    func lines(into series: inout [String: [String]]) {
        var counts: [String: Int] = [:]
        for before in stride(from: Self.pastSeconds, through: 0, by: -Self.period) {
            let time = Self.end - before
            func add(_ name: String, _ labels: String, _ value: String) {
                let key = "\(name){service=\"\(service)\",\(labels)}"
                series[key, default: []].append("\(key) \(value) \(time)")
            }
            func count(_ track: String, _ traffic: Traffic) {
                for (status, number) in [("200", traffic.good), ("500", traffic.bad)] {
                    counts[track + status, default: 0] += number
                    let text =
                        isNotANumber && track == "canary" && before < 300 ? "NaN" : "\(counts[track + status] ?? 0)"
                    add("http_requests_total", "track=\"\(track)\",status=\"\(status)\"", text)
                }
            }
            let hasBegun = before <= stepSeconds
            count("stable", hasBegun ? stable : Traffic(good: stable.good + stable.bad, bad: 0))
            if hasBegun, hasCanary, before >= silentSeconds { count("canary", canary) }
            for line in more(before) {
                let (key, value) = (line.prefix { $0 != " " }, line.drop { $0 != " " })
                let parts = key.split(separator: "{")
                add(String(parts[0]), String(parts[1].dropLast()), String(value.dropFirst()))
            }
        }
    }

    var moment: EvidenceCollector.Moment {
        let end = Date(timeIntervalSince1970: TimeInterval(Self.end))
        let began = end.addingTimeInterval(-TimeInterval(stepSeconds))
        return EvidenceCollector.Moment(walkBegan: began, stepBegan: began, now: end)
    }

    static func openMetrics(_ scenarios: [Scenario]) -> String {
        var series: [String: [String]] = [:]
        for scenario in scenarios { scenario.lines(into: &series) }
        return series.sorted { $0.key < $1.key }.flatMap(\.value).joined(separator: "\n") + "\n# EOF\n"
    }
}
