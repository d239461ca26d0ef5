internal import Synchronization

/// A value that only grows. Keep it where a label set is fixed: counting is one atomic addition then.
package final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    package func add(_ amount: Int = 1) {
        precondition(amount >= 0, "A counter only grows.")
        value.wrappingAdd(amount, ordering: .relaxed)
    }

    package var current: Int { value.load(ordering: .relaxed) }
}

/// A counter for each set of label values.
package final class CounterFamily: MetricFamily {
    private let table: SeriesTable<Counter>

    init(_ name: MetricName, max: Int, onDrop: @escaping @Sendable () -> Void) {
        table = SeriesTable(name, max: max, onDrop: onDrop) { Counter() }
    }

    /// - Precondition: as many values as the metric has labels.
    package subscript(_ values: String...) -> Counter { table[values] }

    func write(to text: inout String) {
        table.name.writeHeader(to: &text)
        for (values, counter) in table.all { text += "\(table.name.sample(values)) \(counter.current)\n" }
    }
}
