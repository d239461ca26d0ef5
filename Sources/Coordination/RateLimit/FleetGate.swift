/// Keeps requests from waiting for a Redis that is failing: after a failure nobody asks it for a while, then one
/// request tries. Pure; time comes in as microseconds.
struct FleetGate {
    /// What a request shall do.
    enum Pass: Sendable, Hashable { case ask, probe, skip }

    /// What a result changed; each change is logged once.
    enum Change: Sendable, Hashable { case none, lost, regained }

    private enum State {
        case healthy
        case failing(until: Int64, probing: Bool)
    }

    /// How long nobody asks after a failure.
    let rest: Int64
    private var state = State.healthy

    init(rest: Int64) { self.rest = rest }

    mutating func enter(now: Int64) -> Pass {
        switch state {
        case .healthy: return .ask
        case .failing(let until, let probing):
            guard now >= until, !probing else { return .skip }
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
        }
    }

    mutating func succeeded(_ pass: Pass) -> Change {
        guard case .failing = state, pass == .probe else { return .none }
        state = .healthy
        return .regained
    }

    /// The request ended without a result, as by cancellation: the next one may probe.
    mutating func abandoned(_ pass: Pass) {
        if case .failing(let until, _) = state, pass == .probe { state = .failing(until: until, probing: false) }
    }

    /// Microseconds until somebody asks again; 0 when healthy or due.
    func remaining(now: Int64) -> Int64 {
        if case .failing(let until, _) = state { max(0, until - now) } else { 0 }
    }
}
