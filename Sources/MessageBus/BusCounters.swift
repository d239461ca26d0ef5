internal import Synchronization

/// What the bus counted since it was made.
package struct BusCounts: Sendable, Equatable {
    package var published = 0
    package var publishFailed = 0
    package var consumed = 0
    package var retried = 0
    package var deadLettered = 0
    /// Messages of core subscriptions that could not be read and were passed over.
    package var undecodable = 0
}

final class BusCounters: Sendable {
    private let state = Mutex(BusCounts())

    var counts: BusCounts { state.withLock { $0 } }

    func change(_ change: (inout BusCounts) -> Void) {
        state.withLock { change(&$0) }
    }

    /// True for the first, second, fourth, eighth … unreadable message: a flood of them must not flood the log.
    func isWorthLogging() -> Bool {
        state.withLock { counts in
            counts.undecodable += 1
            return counts.undecodable & (counts.undecodable - 1) == 0
        }
    }
}
