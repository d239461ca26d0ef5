/// Keeps requests from waiting for a Redis that is failing: after a failure nobody asks it for a while, then one
/// request tries. Pure; time comes in as microseconds.
///
/// Redis that answers again is not yet the fleet's count: first it has to be told what was granted without it
/// (`returning`), and as long as that or any other replica counts alone, everybody stays within their own share too
/// (`both`). So at no moment do some grant by the whole limit what others grant by shares of it.
struct FleetGate {
    /// What a request shall do.
    enum Pass: Sendable, Hashable {
        /// By the fleet's count.
        case ask
        /// By the fleet's count, within this replica's share.
        case both
        /// The same, as the one that finds out whether Redis answers.
        case probe
        /// By this replica's share alone.
        case skip
    }

    /// What a result changed; each change is logged once.
    enum Change: Sendable, Hashable { case none, lost, returning, regained }

    private enum State {
        case healthy
        case failing(until: Int64, probing: Bool)
        case returning
    }

    /// How long nobody asks after a failure.
    let rest: Int64
    /// How long a probe may be under way before others stop to believe that Redis still fails.
    let patience: Int64
    private var state = State.healthy

    init(rest: Int64, patience: Int64) {
        self.rest = rest
        self.patience = patience
    }

    /// - Parameter peersAlone: whether some other replica counts alone, or has not told Redis yet what it granted.
    mutating func enter(now: Int64, peersAlone: Bool = false) -> Pass {
        switch state {
        case .healthy: return peersAlone ? .both : .ask
        case .returning: return .both
        case .failing(let until, let probing):
            // Whoever was away for longer than that, stopped perhaps, knows nothing: it asks before it grants.
            guard now >= until, !probing || now >= until + patience else { return .skip }
            state = .failing(until: until, probing: true)
            return .probe
        }
    }

    mutating func failed(_ pass: Pass, now: Int64) -> Change {
        switch state {
        case .healthy:
            state = .failing(until: now + rest, probing: false)
            return .lost
        case .failing(let until, let probing):
            // Requests that were under way when the first one failed only prolong the rest.
            state = .failing(until: max(until, now + rest), probing: pass == .probe ? false : probing)
            return .none
        case .returning:
            // What was sent before the failure says nothing about now.
            if pass != .ask { state = .failing(until: now + rest, probing: false) }
            return .none
        }
    }

    /// `returning`: the caller tells Redis what was granted here, and then calls `told`.
    mutating func succeeded(_ pass: Pass) -> Change {
        guard case .failing = state, pass == .probe else { return .none }
        state = .returning
        return .returning
    }

    /// Redis knows all that was granted here.
    mutating func told() -> Change {
        guard case .returning = state else { return .none }
        state = .healthy
        return .regained
    }

    /// The request ended without a result, as by cancellation: the next one may probe.
    mutating func abandoned(_ pass: Pass) {
        if case .failing(let until, _) = state, pass == .probe { state = .failing(until: until, probing: false) }
    }

    /// Whether Redis has not been told all that was granted here, or more may be granted here alone.
    var isAlone: Bool { if case .healthy = state { false } else { true } }

    var isReturning: Bool { if case .returning = state { true } else { false } }

    /// Microseconds until somebody asks again; 0 when healthy or due.
    func remaining(now: Int64) -> Int64 {
        if case .failing(let until, _) = state { max(0, until - now) } else { 0 }
    }
}
