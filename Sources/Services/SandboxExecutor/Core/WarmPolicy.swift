/// How many warm interpreters wait, and which have waited too long.
package struct WarmPolicy: Sendable, Equatable {
    /// Of one language.
    package var size: Int
    package var ageMax: Duration
    /// Started at once, so that refilling does not stand in the way of runs.
    package static let startingMax = 1
    /// A language whose warm start fails this often in a row starts cold from then on, until the next start.
    package static let failuresMax = 5

    package init(size: Int, ageMax: Duration = .seconds(300)) {
        self.size = size
        self.ageMax = ageMax
    }

    package struct Change: Sendable, Equatable {
        package var starting: Int
        /// Positions in `ages` of those that go.
        package var retiring: [Int]
    }

    /// - Parameters:
    ///   - ages: of those that wait.
    ///   - starting: under way.
    ///   - freeSlots: sandboxes that may be had besides, without taking any from runs.
    package func change(ages: [Duration], starting: Int, failures: Int, freeSlots: Int) -> Change {
        let old = ages.indices.filter { ages[$0] >= ageMax }
        let surplus = ages.indices.filter { !old.contains($0) }.dropFirst(size)
        let kept = ages.count - old.count - surplus.count
        let wanted = failures >= Self.failuresMax ? 0 : size - kept - starting
        return Change(
            starting: max(0, min(wanted, Self.startingMax - starting, freeSlots)), retiring: old + surplus)
    }
}
