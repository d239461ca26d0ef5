internal import Coordination
internal import Synchronization

/// What the breaker hears of one run: the first word counts.
final class BreakerWord: Sendable {
    private let breaker: CircuitBreaker
    private let ticket: Mutex<CircuitBreaker.Ticket?>

    init(_ breaker: CircuitBreaker, _ ticket: CircuitBreaker.Ticket) {
        self.breaker = breaker
        self.ticket = Mutex(ticket)
    }

    func say(_ outcome: BreakerOutcome) {
        let unused = ticket.withLock { ticket in
            defer { ticket = nil }
            return ticket
        }
        if let unused { breaker.finish(unused, outcome) }
    }
}
