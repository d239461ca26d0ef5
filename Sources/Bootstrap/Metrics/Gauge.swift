internal import Synchronization

/// A value that goes up and down.
package final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)

    package func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    package func set(_ value: Int) { set(Double(value)) }

    package func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let result = bits.compareExchange(expected: old, desired: new, ordering: .relaxed)
            if result.exchanged { return }
            old = result.original
        }
    }

    package var current: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// A gauge for each set of label values.
package final class GaugeFamily: MetricFamily {
    private let table: SeriesTable<Gauge>

    init(_ name: MetricName, max: Int, onDrop: @escaping @Sendable () -> Void) {
        table = SeriesTable(name, max: max, onDrop: onDrop) { Gauge() }
    }

    /// - Precondition: as many values as the metric has labels.
    package subscript(_ values: String...) -> Gauge { table[values] }

    /// Forgets a label set that is no more, so that its last value is not shown for ever.
    package func remove(_ values: String...) { table.remove(values) }

    func write(to text: inout String) {
        table.name.writeHeader(to: &text)
        for (values, gauge) in table.all {
            text += "\(table.name.sample(values)) \(MetricName.number(gauge.current))\n"
        }
    }
}
