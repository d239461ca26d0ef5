internal import Synchronization

/// How values are distributed, in buckets.
package final class Histogram: Sendable {
    private struct State {
        var counts: [Int]
        var sum = 0.0
    }

    private let edges: [Double]
    private let state: Mutex<State>

    init(_ edges: [Double]) {
        self.edges = edges
        state = Mutex(State(counts: Array(repeating: 0, count: edges.count + 1)))
    }

    package func observe(_ value: Double) {
        // Few edges: a walk beats a binary search.
        let bucket = edges.firstIndex { value <= $0 } ?? edges.count
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

    /// Observes seconds.
    package func observe(_ duration: Duration) { observe(duration / .seconds(1)) }

    package var count: Int { state.withLock { $0.counts.reduce(0, +) } }

    package var sum: Double { state.withLock { $0.sum } }

    func write(_ name: MetricName, _ values: [String], to text: inout String) {
        let (counts, sum) = state.withLock { ($0.counts, $0.sum) }
        var total = 0
        for (count, edge) in zip(counts, edges + [.infinity]) {
            total += count
            text += "\(name.sample(values, suffix: "_bucket", extra: ("le", MetricName.number(edge)))) \(total)\n"
        }
        text += "\(name.sample(values, suffix: "_sum")) \(MetricName.number(sum))\n"
        text += "\(name.sample(values, suffix: "_count")) \(total)\n"
    }
}

/// A histogram for each set of label values.
package final class HistogramFamily: MetricFamily {
    /// Edges for seconds; 0.1, 1, 30 and 180 are promised to alerts.
    package static let secondsBuckets = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600,
    ]

    private let table: SeriesTable<Histogram>

    init(_ name: MetricName, _ edges: [Double], max: Int, onDrop: @escaping @Sendable () -> Void) {
        precondition(edges == Array(Set(edges)).sorted() && !edges.isEmpty, "\(name.name): edges must rise.")
        table = SeriesTable(name, max: max, onDrop: onDrop) { Histogram(edges) }
    }

    /// - Precondition: as many values as the metric has labels.
    package subscript(_ values: String...) -> Histogram { table[values] }

    func write(to text: inout String) {
        table.name.writeHeader(to: &text)
        for (values, histogram) in table.all { histogram.write(table.name, values, to: &text) }
    }
}
