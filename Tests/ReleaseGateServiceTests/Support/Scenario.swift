import Foundation
import ReleaseGateCore
import ReleaseGateService

/// One release's past, told to a real Prometheus: so many requests of each side every 30 seconds, for thirty days on the
/// stable one, and what its processes and breakers and the installation's dead letters were like.
struct Scenario: Sendable {
    /// Every scenario ends here; each is a service in a namespace of its own, so that all share one server.
    static let end = 1_793_500_000
    static let period = 30
    /// The objectives' window, and an hour before it.
    static let days = 30
    static let pastSeconds = days * 86_400 + 3600
    /// Since when there is a sample in each period, as decisions look at them; before, budgets alone look, and there is
    /// one every five minutes.
    static let fineSeconds = 9000
    static let coarsePeriod = 300
    /// When samples stand, in seconds before the end.
    private static let times =
        Array(stride(from: pastSeconds, to: fineSeconds, by: -coarsePeriod))
        + Array(stride(from: fineSeconds, through: 0, by: -period))

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
    /// How many dead letters the installation has, by the seconds before the end; nil where nobody counts them.
    var deadLetters: @Sendable (_ secondsBeforeEnd: Int) -> String? = { _ in "0" }
    /// Further lines, made of the seconds before the end; of this service, unless they name another.
    var more: @Sendable (_ secondsBeforeEnd: Int) -> [String] = { _ in [] }
    /// The canary's counters stop so long before the end.
    var silentSeconds = 0
    var hasCanary = true
    /// Of the stable side in each period of a day, twenty days ago.
    var outage: Traffic?
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

    private static let outageDay = (20 * 86_400)..<(21 * 86_400)

    /// What the stable side gets in each period at a time.
    private func stableTraffic(_ before: Int) -> Traffic {
        if before <= stepSeconds { return stable }
        if let outage, Self.outageDay.contains(before) { return outage }
        return Traffic(good: stable.good + stable.bad, bad: 0)
    }

    /// What the stable side counted within the objectives' window.
    var stableThirtyDays: Sample {
        var (total, bad) = (0, 0)
        var previous = Self.pastSeconds
        for before in Self.times {
            let (traffic, periods) = (stableTraffic(before), (previous - before) / Self.period)
            previous = before
            guard before < Self.days * 86_400 else { continue }
            total += (traffic.good + traffic.bad) * periods
            bad += traffic.bad * periods
        }
        return Sample(total: total, bad: bad)
    }

    /// By series: its lines in order of time.
    func lines(into series: inout [String: [String]]) {
        let name = "http_requests_total"
        var counts: [String: Int] = [:]
        var previous = Self.pastSeconds
        for before in Self.times {
            let (time, periods) = (Self.end - before, (previous - before) / Self.period)
            previous = before
            func add(_ metric: String, _ labels: String, _ value: String) {
                let own = labels.contains("service=") ? "" : "service=\"\(service)\","
                let key = "\(metric){namespace=\"\(service)\",\(own)\(labels)}"
                series[key, default: []].append("\(key) \(value) \(time)")
            }
            func count(_ track: String, _ traffic: Traffic) {
                for (status, number) in [("200", traffic.good), ("500", traffic.bad)] {
                    counts[track + status, default: 0] += number * periods
                    let text =
                        isNotANumber && track == "canary" && before < 300 ? "NaN" : "\(counts[track + status] ?? 0)"
                    add(name, "track=\"\(track)\",status=\"\(status)\"", text)
                }
            }
            count("stable", stableTraffic(before))
            if before <= stepSeconds, hasCanary, before >= silentSeconds { count("canary", canary) }
            // Gauges say how things are, and are asked about the walk alone.
            guard before <= Self.fineSeconds else { continue }
            if let letters = deadLetters(before) {
                add("dlq_messages_unresolved", "service=\"dlq-worker\",track=\"stable\"", letters)
            }
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
