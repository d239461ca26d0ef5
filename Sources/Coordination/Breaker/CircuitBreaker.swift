internal import Redis
internal import Synchronization

/// Guards the calls to one dependency: after too many failures it lets none through for a while, then a few to see.
///
/// While it is closed, a call costs two locks and some integers here and nothing in Redis. Closing again is the
/// fleet's: at most `policy.probes` calls of all replicas together are let through for it.
package final class CircuitBreaker: Sendable {
    /// What a call that was let through gives back at its end, once.
    package struct Ticket: Sendable {
        let pass: LocalBreaker.Pass
    }

    package enum Admission: Sendable {
        case admitted(Ticket)
        case refused(BreakerRefusal)
    }

    private struct State {
        var local: LocalBreaker
        /// What was told last, so that a transition is told once.
        var shown = BreakerState.closed
    }

    package let name: String
    private let link: BreakerLink
    private let state: Mutex<State>
    private let onChange: @Sendable (BreakerStatus) -> Void
    private let onLoss: @Sendable (RedisError) -> Void
    private let onNews: @Sendable (_ name: String, _ version: Int) -> Void

    init(
        _ name: String, link: BreakerLink, onChange: @escaping @Sendable (BreakerStatus) -> Void,
        onLoss: @escaping @Sendable (RedisError) -> Void,
        onNews: @escaping @Sendable (_ name: String, _ version: Int) -> Void
    ) {
        self.name = name
        self.link = link
        self.onChange = onChange
        self.onLoss = onLoss
        self.onNews = onNews
        state = Mutex(State(local: LocalBreaker(link.policy)))
    }

    // MARK: Calls

    /// Makes a call if the breaker lets it through, and learns from how it ended.
    ///
    /// A cancellation says nothing about the dependency.
    ///
    /// - Parameters:
    ///   - slowAfter: a success that takes longer counts as slow; nil: none is slow.
    ///   - isFailure: whether an error is the dependency's fault. A refusal of this one request, such as a 4xx, is not.
    /// - Throws: `BreakerRefusal` without having called; else what `body` throws.
    package func call<Value>(
        slowAfter: Duration? = nil, isFailure: (any Error) -> Bool = { _ in true }, _ body: () async throws -> Value
    ) async throws -> Value {
        let ticket: Ticket
        switch await admit() {
        case .admitted(let admitted): ticket = admitted
        case .refused(let refusal): throw refusal
        }
        let start = link.now()
        do {
            let value = try await body()
            let isSlow = slowAfter.map { link.now() - start > $0.microsecondsUp } ?? false
            finish(ticket, isSlow ? .slow : .success)
            return value
        } catch {
            let isOurs = error is CancellationError || Task.isCancelled || !isFailure(error)
            finish(ticket, isOurs ? .ignored : .failure)
            throw error
        }
    }

    /// Whether a call may go, for those that `call` does not fit. Whoever is admitted calls `finish` exactly once.
    package func admit() async -> Admission {
        let now = link.now()
        let verdict = change(now) { $0.ask(now: now, share: link.share) }
        switch verdict {
        case .pass(let pass): return .admitted(Ticket(pass: pass))
        case .refuse(let retry): return .refused(refusal(retry, now))
        case .askFleet: return await askFleet()
        }
    }

    /// A call ended.
    package func finish(_ ticket: Ticket, _ outcome: BreakerOutcome) {
        switch ticket.pass {
        case .uncounted: return
        case .counted(let ticket):
            let now = link.now()
            change(now) { $0.finish(ticket, outcome, now: now, share: link.share) }
        case .probe(let lease): link.tell(name, lease: lease, outcome)
        }
    }

    /// How it stands here.
    package var status: BreakerStatus {
        let now = link.now()
        return state.withLock { status($0.local, now) }
    }

    private func askFleet() async -> Admission {
        let lease = link.newLease()
        do throws(RedisError) {
            let reply = try await link.send(.acquire(lease: lease), to: name)
            learn(reply)
            let now = link.now()
            let isGranted = reply.answer == .granted
            change(now) { $0.fleetAnswered(isRefused: reply.answer == .refused, now: now) }
            if isGranted { return .admitted(Ticket(pass: .probe(lease: lease))) }
        } catch {
            // It may have been granted all the same; a probe that nobody makes must not count as failed.
            link.tell(name, lease: lease, .ignored)
            let now = link.now()
            change(now) { $0.fleetAnswered(isRefused: false, now: now) }
            if error.code == .cancelled { return .refused(refusal(LocalBreaker.askRest, now)) }
            onLoss(error)
        }
        let now = link.now()
        switch change(now, { $0.ask(now: now, share: link.share) }) {
        case .pass(let pass): return .admitted(Ticket(pass: pass))
        case .refuse(let retry): return .refused(refusal(retry, now))
        case .askFleet:
            // It opened again meanwhile, and is due again: that is for the next caller.
            change(now) { $0.fleetAnswered(isRefused: true, now: now) }
            return .refused(refusal(LocalBreaker.askRest, now))
        }
    }

    private func refusal(_ retry: Int64, _ now: Int64) -> BreakerRefusal {
        let state = state.withLock { $0.local.standing(now: now).state }
        return BreakerRefusal(name: name, state: state, retryAfter: .microseconds(retry))
    }

    // MARK: The fleet

    /// Time went by.
    func tick() {
        let now = link.now()
        change(now) { $0.tick(now: now, share: link.share) }
    }

    /// Tells the fleet how it stands here, and learns how the fleet stands.
    func report() async throws(RedisError) {
        let now = link.now()
        let event = change(now) { local in
            local.tick(now: now, share: link.share)
            return local.report(replica: link.replica, now: now)
        }
        learn(try await link.send(event, to: name))
    }

    /// A probe's end; an older one than the phase is no news to anybody.
    func tell(_ lease: String, _ outcome: BreakerOutcome) async throws(RedisError) {
        learn(try await link.send(.finish(lease: lease, outcome), to: name))
    }

    func learn(_ reply: BreakerScript.Reply) {
        let now = link.now()
        change(now) { $0.learn(reply.record, fleetNow: reply.now, askedAt: reply.askedAt, now: now) }
        if reply.isNews { onNews(name, Int(reply.record.version)) }
    }

    /// From now on this replica decides alone.
    func loseFleet() {
        let now = link.now()
        change(now) { $0.isShared = false }
    }

    /// The version this replica knows; 0 when none.
    var version: Int { Int(state.withLock { $0.local.view?.record.version ?? 0 }) }

    /// What the fleet said last, as it would look now; nil when it never did.
    var overview: BreakerOverview? {
        let now = link.now()
        return state.withLock { state in
            let isCurrent = state.local.isShared
            return state.local.view.map { view in
                BreakerOverview(
                    name, view.record, now: view.fleetNow + (now - view.learnedAt) / 1000, isCurrent: isCurrent
                )
            }
        }
    }

    // MARK: Changes

    /// Changes the state, and tells of a transition once, outside the lock.
    @discardableResult
    private func change<Result>(_ now: Int64, _ body: (inout LocalBreaker) -> Result) -> Result {
        let (result, change) = state.withLock { state -> (Result, BreakerStatus?) in
            let result = body(&state.local)
            let standing = state.local.standing(now: now).state
            guard standing != state.shown else { return (result, nil) }
            state.shown = standing
            return (result, status(state.local, now))
        }
        if let change {
            onChange(change)
            // What this replica found out is its vote.
            if change.origin == .replica { link.urge(name) }
        }
        return result
    }

    private func status(_ local: LocalBreaker, _ now: Int64) -> BreakerStatus {
        let (state, origin) = local.standing(now: now)
        let counts = local.core.window.counts(now: now)
        return BreakerStatus(
            name: name, state: state, origin: origin, calls: Int(counts.calls), failures: Int(counts.failures),
            slow: Int(counts.slow), isShared: local.isShared
        )
    }
}
