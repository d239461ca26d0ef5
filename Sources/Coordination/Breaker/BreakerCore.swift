/// One replica's own breaker for one dependency: its window of calls and what it concluded from them. Pure; time is in
/// microseconds.
///
/// It decides alone while the fleet has not opened, or while Redis is away.
struct BreakerCore: Sendable {
    /// What a call carries from its admission to its end.
    struct Ticket: Sendable, Hashable {
        let epoch: Int64
        /// 0 when it is no probe.
        let probe: Int64
    }

    enum Event: Sendable, Hashable {
        /// A call wants to go.
        case ask
        /// A call ended. One that may not trip is only counted.
        case finished(Ticket, BreakerOutcome, mayTrip: Bool)
        /// Time went by.
        case tick
        /// Close, clear the window, and ignore what is under way.
        case reset
        /// The fleet opened.
        case opened(until: Int64, openings: Int64)
    }

    enum Effect: Sendable, Hashable {
        case none
        case admit(Ticket)
        /// Microseconds until asking again makes sense.
        case refuse(retry: Int64)
    }

    /// What a half-open breaker tells those it has no probe for.
    static let probeRetry: Int64 = 1_000_000

    let policy: BreakerPolicy
    private(set) var cycle = BreakerCycle<Int64>(epoch: 1)
    private(set) var window = CallWindow()
    private var probesMade: Int64 = 0
    private let terms: BreakerTerms

    init(_ policy: BreakerPolicy) {
        self.policy = policy
        terms = BreakerTerms(policy, unit: 1)
    }

    /// - Parameter share: among how many replicas this one divides the probes; 1 when the fleet is asked elsewhere.
    mutating func apply(_ event: Event, now: Int64, share: Int64 = 1) -> Effect {
        switch event {
        case .ask:
            if cycle.isClosed { return .admit(Ticket(epoch: cycle.epoch, probe: 0)) }
            return ask(now: now, terms: terms(now, share))
        case .finished(let ticket, let outcome, let mayTrip):
            guard ticket.epoch == cycle.epoch else { return .none }
            finish(ticket, outcome, mayTrip: mayTrip, now: now, terms: terms(now, share))
        case .tick:
            if !cycle.isClosed { advance(now: now, terms: terms(now, share)) }
        case .reset:
            cycle.close()
            window = CallWindow()
        case .opened(let until, let openings):
            cycle.open(until: until, openings: openings)
        }
        return .none
    }

    private mutating func ask(now: Int64, terms: BreakerTerms) -> Effect {
        advance(now: now, terms: terms)
        switch cycle.phase {
        case .closed: return .admit(Ticket(epoch: cycle.epoch, probe: 0))
        case .open(let until): return .refuse(retry: max(1, until - now))
        case .halfOpen:
            probesMade += 1
            guard cycle.lease(probesMade, now: now, terms: terms) else { return .refuse(retry: Self.probeRetry) }
            return .admit(Ticket(epoch: cycle.epoch, probe: probesMade))
        }
    }

    private mutating func finish(
        _ ticket: Ticket, _ outcome: BreakerOutcome, mayTrip: Bool, now: Int64, terms: BreakerTerms
    ) {
        if ticket.probe != 0 {
            advance(now: now, terms: terms)
            _ = cycle.settle(ticket.probe, outcome, now: now, terms: terms)
            if cycle.isClosed { window = CallWindow() }
            return
        }
        window.count(outcome, now: now)
        if mayTrip, cycle.isClosed, window.trips(policy, now: now) { cycle.open(now: now, terms: terms) }
    }

    /// Whoever closes begins with an empty window: what filled it is known and over.
    private mutating func advance(now: Int64, terms: BreakerTerms) {
        let wasClosed = cycle.isClosed
        cycle.advance(now: now, terms: terms)
        if cycle.isClosed && !wasClosed { window = CallWindow() }
    }

    private func terms(_ now: Int64, _ share: Int64) -> BreakerTerms {
        var terms = terms
        terms.probes = max(1, terms.probes / max(1, share))
        terms.jitter = BreakerTerms.jitter(seed: now ^ cycle.epoch << 40, percent: policy.jitterPercent)
        return terms
    }
}
