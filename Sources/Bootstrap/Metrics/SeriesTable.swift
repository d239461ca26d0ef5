internal import Synchronization

/// The label sets of one metric, made on first use and bounded.
final class SeriesTable<Series: Sendable>: Sendable {
    let name: MetricName
    private let max: Int
    private let make: @Sendable () -> Series
    private let onDrop: @Sendable () -> Void
    private let series = Mutex<[[String]: Series]>([:])

    init(
        _ name: MetricName, max: Int, onDrop: @escaping @Sendable () -> Void, make: @escaping @Sendable () -> Series
    ) {
        self.name = name
        self.max = max
        self.onDrop = onDrop
        self.make = make
        // A metric without labels shows its zero from the start, so that rates see the first increase.
        if name.labels.isEmpty { _ = self[[]] }
    }

    /// The series for these label values; one that nobody reads when there are too many already.
    subscript(_ values: [String]) -> Series {
        precondition(values.count == name.labels.count, "\(name.name) has the labels \(name.labels).")
        let found: Series? = series.withLock { series in
            if let known = series[values] { return known }
            guard series.count < max else { return nil }
            let new = make()
            series[values] = new
            return new
        }
        if let found { return found }
        onDrop()
        return make()
    }

    func remove(_ values: [String]) {
        series.withLock { _ = $0.removeValue(forKey: values) }
    }

    /// By label values, sorted.
    var all: [(values: [String], series: Series)] {
        series.withLock { $0 }.map { ($0.key, $0.value) }
            .sorted { $0.values.lexicographicallyPrecedes($1.values) }
    }
}
