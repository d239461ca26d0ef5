/// All that one replica knows of one breaker, and what it does with each call: its own breaker, what the fleet last
/// said, and what an operator wants. Pure; time is in microseconds of this replica's clock.
struct LocalBreaker: Sendable {
    /// How a call was let through.
    enum Pass: Sendable, Hashable {
        case uncounted
        case counted(BreakerCore.Ticket)
        /// One of the fleet's probes.
        case probe(lease: String)
    }

    enum Verdict: Sendable, Hashable {
        case pass(Pass)
        /// Microseconds until asking again makes sense.
        case refuse(retry: Int64)
        /// Only the fleet can tell: it hands out the probes.
        case askFleet
    }

    /// What the shared record said last, in this replica's time.
    struct View: Sendable, Hashable {
        var record: FleetRecord
        /// Redis' clock at `learnedAt`.
        var fleetNow: Int64
        var learnedAt: Int64

        /// A time of Redis' clock, on this replica's.
        func local(_ milliseconds: Int64) -> Int64 { learnedAt + (milliseconds - fleetNow) * 1000 }
    }

    /// What a view means for calls: numbers alone, since every call looks at them. Times are this replica's.
    private struct Orders: Sendable {
        var mode = BreakerMode.automatic
        /// 0 never.
        var modeUntil: Int64 = 0
        var state = BreakerState.closed
        var openUntil: Int64 = 0
    }

    /// After a refusal, or while as many ask as there are probes, nobody asks for this long.
    static let askRest: Int64 = 100_000

    private(set) var core: BreakerCore
    private(set) var view: View?
    private var orders = Orders()
    /// False while Redis is away: then the replica decides alone.
    var isShared = false
    private var asking: Int64 = 0
    private var askAgainAt: Int64 = 0

    init(_ policy: BreakerPolicy) { core = BreakerCore(policy) }

    // MARK: Calls

    /// - Parameter share: among how many replicas probes are divided while Redis is away.
    mutating func ask(now: Int64, share: Int) -> Verdict {
        switch mode(now) {
        case .automatic: break
        case .disabled: return .pass(.uncounted)
        case .metricsOnly: return .pass(.counted(BreakerCore.Ticket(epoch: core.cycle.epoch, probe: 0)))
        case .forcedOpen:
            return .refuse(retry: orders.modeUntil > 0 ? max(1, orders.modeUntil - now) : BreakerCore.probeRetry)
        }
        if isFleetsTurn {
            if orders.state == .open, now < orders.openUntil { return .refuse(retry: orders.openUntil - now) }
            guard now >= askAgainAt, asking < core.policy.probes else {
                return .refuse(retry: max(Self.askRest, askAgainAt - now))
            }
            asking += 1
            return .askFleet
        }
        return askOwn(now: now, share: share)
    }

    /// Decides without the fleet.
    mutating func askOwn(now: Int64, share: Int) -> Verdict {
        let divided = isShared ? 1 : Int64(share)
        switch core.apply(.ask, now: now, share: divided) {
        case .admit(let ticket): return .pass(.counted(ticket))
        case .refuse(let retry): return .refuse(retry: retry)
        case .none: preconditionFailure("A breaker answers everyone who asks.")
        }
    }

    /// The fleet was asked, and refused or not.
    mutating func fleetAnswered(isRefused: Bool, now: Int64) {
        asking -= 1
        if isRefused { askAgainAt = now + Self.askRest }
    }

    mutating func finish(_ ticket: BreakerCore.Ticket, _ outcome: BreakerOutcome, now: Int64, share: Int) {
        let divided = isShared ? 1 : Int64(share)
        _ = core.apply(.finished(ticket, outcome, mayTrip: mode(now) == .automatic), now: now, share: divided)
    }

    /// Time went by. The fleet's breaker has its own clock.
    mutating func tick(now: Int64, share: Int) {
        if isFleetsTurn { return }
        _ = core.apply(.tick, now: now, share: isShared ? 1 : Int64(share))
    }

    // MARK: The fleet

    /// Takes over what the shared record says.
    ///
    /// Answers may be heard in another order than they were given: one that was asked for before the last word was
    /// heard, and is older, was overtaken. What was asked for after it is newer; if it looks older, the record went
    /// back, as after a failover.
    mutating func learn(_ record: FleetRecord, fleetNow: Int64, askedAt: Int64, now: Int64) {
        if let view, askedAt <= view.learnedAt,
            (fleetNow, record.version) < (view.fleetNow, view.record.version)
        {
            return
        }
        isShared = true
        let old = view?.record
        let view = View(record: record, fleetNow: fleetNow, learnedAt: now)
        self.view = view
        orders = Orders(
            mode: record.mode, modeUntil: record.modeUntil > 0 ? max(1, view.local(record.modeUntil)) : 0,
            state: record.cycle.state
        )
        if case .open(let until) = record.cycle.phase { orders.openUntil = view.local(until) }
        guard old?.born != record.born || old?.version != record.version else { return }
        askAgainAt = 0
        switch record.cycle.phase {
        case .open:
            _ = core.apply(.opened(until: orders.openUntil, openings: record.cycle.openings), now: now)
        case .halfOpen:
            // Should Redis go now, the replica's own probes go on.
            _ = core.apply(.opened(until: now, openings: record.cycle.openings), now: now)
        case .closed:
            // A record that begins anew or went back, since what was newer is lost, takes nothing from what this
            // replica found out; an operator does.
            let goesOn = old.map { $0.born == record.born && $0.version < record.version } ?? false
            if goesOn || !record.actor.isEmpty { _ = core.apply(.reset, now: now) }
        }
    }

    /// What to tell the fleet.
    func report(replica: String, now: Int64) -> FleetRecord.Event {
        .report(
            replica: replica, version: view?.record.version ?? 0, own: Int64(core.cycle.state.rawValue),
            core.window.counts(now: now)
        )
    }

    // MARK: What it looks like

    /// What becomes of a call now, and who made it so.
    func standing(now: Int64) -> (state: BreakerState, origin: BreakerStatus.Origin) {
        switch mode(now) {
        case .forcedOpen: return (.open, .operator)
        case .disabled, .metricsOnly: return (.closed, .operator)
        case .automatic:
            if isFleetsTurn { return (orders.state, .fleet) }
            return (core.cycle.state, .replica)
        }
    }

    /// The fleet has opened and not closed again, and can be asked.
    private var isFleetsTurn: Bool { isShared && orders.state != .closed }

    private func mode(_ now: Int64) -> BreakerMode {
        orders.modeUntil > 0 && now >= orders.modeUntil ? .automatic : orders.mode
    }
}
