/// How one call to a dependency came out.
package enum BreakerOutcome: Int64, Sendable, Hashable, CaseIterable {
    case failure = 0
    case success = 1
    /// Says nothing of the dependency's health: a refusal of this one request, a cancellation.
    case ignored = 2
    /// Succeeded, but took longer than the caller can bear. As a probe it counts as a failure.
    case slow = 3
}

/// Closed, open, half-open and back: the part that a replica's own breaker and the fleet's shared one have in common.
/// Pure; time comes in as whole units of one clock.
struct BreakerCycle<Lease: Hashable & Sendable>: Sendable, Hashable {
    enum Phase: Sendable, Hashable {
        case closed
        case open(until: Int64)
        case halfOpen(Probation)
    }

    /// A half-open phase: so many probes were let through, so many of them succeeded, and these are under way.
    struct Probation: Sendable, Hashable {
        /// When the phase is judged by what it has.
        var deadline: Int64
        var granted: Int64 = 0
        var succeeded: Int64 = 0
        /// When each probe under way counts as failed.
        var leases: [Lease: Int64] = [:]
    }

    var phase = Phase.closed
    /// How often it opened since it was last closed.
    var openings: Int64 = 0
    /// Grows with every change of phase; what began in an older epoch changes nothing in a later one.
    var epoch: Int64

    init(epoch: Int64) { self.epoch = epoch }

    var isClosed: Bool { phase == .closed }

    /// Lets time do its work: an open breaker becomes half-open, a half-open one is judged.
    mutating func advance(now: Int64, terms: BreakerTerms) {
        switch phase {
        case .closed: return
        case .open(let until):
            guard now >= until else { return }
            enter(.halfOpen(Probation(deadline: now + terms.halfOpen)))
        case .halfOpen(let probation):
            if probation.leases.values.contains(where: { $0 <= now }) {
                open(now: now, terms: terms)
            } else {
                conclude(probation, now: now, terms: terms)
            }
        }
    }

    /// The clock went back by so much: what was to come is as far away as before.
    mutating func turnBack(by back: Int64) {
        switch phase {
        case .closed: return
        case .open(let until): phase = .open(until: until - back)
        case .halfOpen(var probation):
            probation.deadline -= back
            probation.leases = probation.leases.mapValues { $0 - back }
            phase = .halfOpen(probation)
        }
    }

    mutating func open(now: Int64, terms: BreakerTerms) {
        enter(.open(until: now + terms.wait(openings: openings)))
        openings += 1
    }

    /// Opens as somebody else has.
    mutating func open(until: Int64, openings: Int64) {
        enter(.open(until: until))
        self.openings = openings
    }

    /// Closes, whatever it was: what began before no longer counts.
    mutating func close() {
        enter(.closed)
        openings = 0
    }

    /// Lets one probe through if there is room. False unless half-open.
    mutating func lease(_ lease: Lease, now: Int64, terms: BreakerTerms) -> Bool {
        guard case .halfOpen(var probation) = phase, probation.granted < terms.probes else { return false }
        probation.granted += 1
        probation.leases[lease] = now + terms.probeLease
        phase = .halfOpen(probation)
        return true
    }

    /// Books a probe's outcome. False when there is no such probe.
    mutating func settle(_ lease: Lease, _ outcome: BreakerOutcome, now: Int64, terms: BreakerTerms) -> Bool {
        guard case .halfOpen(var probation) = phase, probation.leases.removeValue(forKey: lease) != nil else {
            return false
        }
        switch outcome {
        case .failure, .slow:
            open(now: now, terms: terms)
            return true
        case .success: probation.succeeded += 1
        case .ignored: break
        }
        phase = .halfOpen(probation)
        conclude(probation, now: now, terms: terms)
        return true
    }

    /// Ends the phase when every probe has been used and heard of, or its time is over and none is under way.
    private mutating func conclude(_ probation: Probation, now: Int64, terms: BreakerTerms) {
        guard probation.leases.isEmpty, probation.granted >= terms.probes || now >= probation.deadline else { return }
        if probation.succeeded > 0 || (terms.idleCloses && probation.granted == 0) {
            close()
        } else {
            // Nobody has found out anything, so the wait is no longer than the last one.
            openings -= 1
            open(now: now, terms: terms)
        }
    }

    private mutating func enter(_ next: Phase) {
        phase = next
        epoch += 1
    }
}
