/// What an operator said about a breaker.
package enum BreakerMode: Int64, Sendable, Hashable, CaseIterable {
    /// The calls decide.
    case automatic = 0
    /// Lets no call through.
    case forcedOpen = 1
    /// Lets every call through and counts none.
    case disabled = 2
    /// Lets every call through and counts them, but never opens.
    case metricsOnly = 3
}

/// What the replicas share about one breaker, and how each event changes it: the model of `BreakerScript`, which does
/// the same in Redis in one step. Time is in milliseconds of Redis' clock.
///
/// The cycle's epoch is the record's *version*: every transition raises it, and whoever acts on an older one is told
/// `stale`. It starts from the time of day, so that a record which was lost never repeats a version.
struct FleetRecord: Sendable, Hashable {
    /// What one replica said last.
    struct Report: Sendable, Hashable {
        var at: Int64
        /// Whether it voted for opening.
        var isVote: Bool
        /// Its own breaker: 0 closed, 1 half-open, 2 open.
        var own: Int64
        var counts: CallWindow.Counts
    }

    enum Event: Sendable, Hashable {
        /// A replica is there; its own breaker stands so. Believing in the current version, it votes.
        case report(replica: String, version: Int64, own: Int64, CallWindow.Counts)
        /// A call wants to be a probe.
        case acquire(lease: String)
        /// A probe ended. Leases are unique and end with their phase, so a late one names none.
        case finish(lease: String, BreakerOutcome)
        /// Somebody only wants to see it.
        case look
        /// An operator's word. `duration` 0 means for ever; `expected` nil means whatever the version is.
        case command(BreakerMode, duration: Int64, reason: String, actor: String, expected: Int64?)
    }

    enum Answer: Int64, Sendable, Hashable {
        case noted = 0
        /// The lease is a probe.
        case granted = 1
        case refused = 2
        /// Calls need no lease.
        case passed = 3
        /// The caller's version or lease is not the record's; nothing was changed by it.
        case stale = 4
    }

    /// What the events of one installation are judged by.
    struct Terms: Sendable, Hashable {
        var cycle: BreakerTerms
        /// How many replicas there are at least; those who report count too.
        var replicas: Int64
        /// A replica not heard of for this long is gone, and so is its vote.
        var silence: Int64 = 5000
    }

    /// More reports than this are not kept.
    static let reportsMax = 256

    /// When the record was made; tells it from one that was lost.
    var born: Int64
    var cycle: BreakerCycle<String>
    var mode = BreakerMode.automatic
    /// When the mode ends; 0 never.
    var modeUntil: Int64 = 0
    /// The last command's.
    var reason = ""
    var actor = ""
    /// Since when it is in this phase and mode.
    var changedAt: Int64
    /// When it was looked at last.
    var seenAt: Int64
    var reports: [String: Report] = [:]

    init(now: Int64) {
        born = now
        changedAt = now
        seenAt = now
        cycle = BreakerCycle(epoch: now)
    }

    var version: Int64 { cycle.epoch }

    mutating func apply(_ event: Event, now: Int64, terms: Terms) -> Answer {
        follow(now)
        let atFirst = version
        if mode != .automatic, modeUntil > 0, now >= modeUntil { command(.automatic, until: 0, reason: "", actor: "") }
        cycle.advance(now: now, terms: terms.cycle)
        reports = reports.filter { now - $0.value.at <= terms.silence }
        noteTransition(since: atFirst, now: now)
        let before = version
        let answer = answer(event, now: now, terms: terms)
        noteTransition(since: before, now: now)
        return answer
    }

    /// A clock that went back takes all times with it: else what was due in seconds would be in hours.
    private mutating func follow(_ now: Int64) {
        let back = seenAt - now
        seenAt = now
        guard back > 0 else { return }
        changedAt -= back
        if modeUntil > 0 { modeUntil -= back }
        cycle.turnBack(by: back)
        for replica in reports.keys { reports[replica]?.at -= back }
    }

    private mutating func answer(_ event: Event, now: Int64, terms: Terms) -> Answer {
        switch event {
        case .report(let replica, let version, let own, let counts):
            note(replica, version: version, own: own, counts, now: now)
            if cycle.isClosed, isOutvoted(terms) { cycle.open(now: now, terms: terms.cycle) }
            return .noted
        case .acquire(let lease):
            switch mode {
            case .forcedOpen: return .refused
            case .disabled, .metricsOnly: return .passed
            case .automatic:
                if cycle.isClosed { return .passed }
                return cycle.lease(lease, now: now, terms: terms.cycle) ? .granted : .refused
            }
        case .finish(let lease, let outcome):
            return cycle.settle(lease, outcome, now: now, terms: terms.cycle) ? .noted : .stale
        case .command(let mode, let duration, let reason, let actor, let expected):
            if let expected, expected != version { return .stale }
            command(mode, until: duration > 0 ? now + duration : 0, reason: reason, actor: actor)
            return .noted
        case .look: return .noted
        }
    }

    /// Only while it is closed a replica votes; what it said before the breaker opened stays to be seen.
    private mutating func note(
        _ replica: String, version: Int64, own: Int64, _ counts: CallWindow.Counts, now: Int64
    ) {
        let old = reports[replica]
        guard old != nil || reports.count < Self.reportsMax else { return }
        let votes = cycle.isClosed ? mode == .automatic && own != 0 && version == self.version : old?.isVote ?? false
        reports[replica] = Report(at: now, isVote: votes, own: own, counts: counts)
    }

    /// Two votes at least, and two in five; a replica that is alone decides alone.
    private func isOutvoted(_ terms: Terms) -> Bool {
        let votes = reports.values.count(where: \.isVote)
        let live = max(Int64(reports.count), terms.replicas)
        return votes >= (live <= 1 ? 1 : max(2, (2 * live + 4) / 5))
    }

    /// Every command begins afresh: what was found out before no longer counts.
    private mutating func command(_ mode: BreakerMode, until: Int64, reason: String, actor: String) {
        self.mode = mode
        modeUntil = until
        self.reason = reason
        self.actor = actor
        cycle.close()
    }

    private mutating func noteTransition(since version: Int64, now: Int64) {
        guard version != self.version else { return }
        changedAt = now
        guard cycle.isClosed else { return }
        for replica in reports.keys { reports[replica]?.isVote = false }
    }
}
