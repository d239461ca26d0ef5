internal import Synchronization

/// All metrics of one process, in Prometheus' text format (0.0.4).
///
/// A metric has at most `seriesMax` sets of label values; what comes beyond is counted in
/// `metrics_series_dropped_total` and goes nowhere else, so that no caller can fill the memory.
package final class MetricsRegistry: Sendable {
    package static let seriesMaxDefault = 1000

    private struct State {
        var families: [String: any MetricFamily] = [:]
        var collectors: [@Sendable () -> Void] = []
    }

    private let seriesMax: Int
    private let state = Mutex(State())
    private let dropped = Atomic<Int>(0)

    package init(seriesMax: Int = seriesMaxDefault) {
        self.seriesMax = seriesMax
    }

    /// A value that only grows; its name ends in `_total`. The same name again gives the same metric.
    package func counter(_ name: String, _ help: String, labels: [String] = []) -> CounterFamily {
        family(name) { CounterFamily(MetricName(name, help, .counter, labels), max: seriesMax, onDrop: countDrop) }
    }

    package func gauge(_ name: String, _ help: String, labels: [String] = []) -> GaugeFamily {
        family(name) { GaugeFamily(MetricName(name, help, .gauge, labels), max: seriesMax, onDrop: countDrop) }
    }

    /// - Parameter buckets: upper edges in rising order; the last one, infinity, is added.
    package func histogram(
        _ name: String, _ help: String, labels: [String] = [], buckets: [Double] = HistogramFamily.secondsBuckets
    ) -> HistogramFamily {
        family(name) {
            HistogramFamily(MetricName(name, help, .histogram, labels), buckets, max: seriesMax, onDrop: countDrop)
        }
    }

    /// A value asked for at every rendering; nil leaves it out. `read` must not wait for anything.
    package func reading(
        _ name: String, _ help: String, growsOnly: Bool = false, read: @escaping @Sendable () -> Double?
    ) {
        _ = family(name) { Reading(name: MetricName(name, help, growsOnly ? .counter : .gauge, []), read: read) }
    }

    /// Runs before every rendering, to bring gauges with labels up to date. Must not wait for anything.
    package func collect(_ collector: @escaping @Sendable () -> Void) {
        state.withLock { $0.collectors.append(collector) }
    }

    /// Everything, sorted by name.
    package func text() -> String {
        for collector in state.withLock({ $0.collectors }) { collector() }
        let families = state.withLock { $0.families }.sorted { $0.key < $1.key }.map(\.value)
        var text = ""
        for family in families { family.write(to: &text) }
        MetricName(
            "metrics_series_dropped_total", "Label sets refused because their metric had too many.", .counter, []
        )
        .writeHeader(to: &text)
        text += "metrics_series_dropped_total \(dropped.load(ordering: .relaxed))\n"
        return text
    }

    private var countDrop: @Sendable () -> Void {
        { [weak self] in self?.dropped.add(1, ordering: .relaxed) }
    }

    private func family<Family: MetricFamily>(_ name: String, make: () -> Family) -> Family {
        state.withLock { state in
            if let known = state.families[name] {
                guard let family = known as? Family else { preconditionFailure("\(name) is a metric of another kind.") }
                return family
            }
            let family = make()
            state.families[name] = family
            return family
        }
    }
}

/// One metric with all its label sets.
protocol MetricFamily: Sendable {
    func write(to text: inout String)
}

/// A value that something else keeps.
struct Reading: MetricFamily {
    let name: MetricName
    let read: @Sendable () -> Double?

    func write(to text: inout String) {
        guard let value = read() else { return }
        name.writeHeader(to: &text)
        text += "\(name.sample([])) \(MetricName.number(value))\n"
    }
}

/// What stands above a metric's samples.
struct MetricName: Sendable {
    enum Kind: String { case counter, gauge, histogram }

    let name: String
    let help: String
    let kind: Kind
    let labels: [String]

    init(_ name: String, _ help: String, _ kind: Kind, _ labels: [String]) {
        precondition(Self.isName(name) && labels.allSatisfy(Self.isName), "\(name) is not a metric's name.")
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
    }

    func writeHeader(to text: inout String) {
        text += "# HELP \(name) \(Self.escape(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// `name{a="x",b="y"}`, with one more label for a histogram's buckets.
    func sample(_ values: [String], suffix: String = "", extra: (String, String)? = nil) -> String {
        var pairs = zip(labels, values).map { "\($0)=\"\(Self.escape($1, quotes: true))\"" }
        if let extra { pairs.append("\(extra.0)=\"\(extra.1)\"") }
        return pairs.isEmpty ? name + suffix : "\(name)\(suffix){\(pairs.joined(separator: ","))}"
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return Int(exactly: value).map(String.init) ?? "\(value)"
    }

    private static func escape(_ text: String, quotes: Bool) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "\\") || $0 == UInt8(ascii: "\"") || $0 == 0x0A }) else {
            return text
        }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static func isName(_ text: String) -> Bool {
        text.utf8.first.map { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } == true
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}
