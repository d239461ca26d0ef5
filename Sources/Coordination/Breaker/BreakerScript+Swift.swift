internal import Redis

/// The script's words in Swift.
extension BreakerScript {
    /// One answer of the script.
    struct Reply: Sendable, Hashable {
        let answer: FleetRecord.Answer
        /// Redis' clock, in milliseconds.
        let now: Int64
        /// Whether this event, or the time that had passed, made a transition.
        let isNews: Bool
        let record: FleetRecord
        /// This replica's clock, in microseconds, before it asked.
        var askedAt: Int64 = 0
    }

    /// - Parameter now: milliseconds of a clock of the caller's; 0 means the server's. Only tests bring their own.
    static func arguments(_ event: FleetRecord.Event, terms: FleetRecord.Terms, now: Int64 = 0) -> [RedisArgument] {
        let cycle = terms.cycle
        let numbers = [
            now, cycle.openWait, cycle.openWaitMax, cycle.jitter, cycle.probes, cycle.probeLease, cycle.halfOpen,
            cycle.idleCloses ? 1 : 0, terms.replicas, terms.silence, keptSeconds,
        ]
        return numbers.map { .integer($0) } + words(event)
    }

    private static func words(_ event: FleetRecord.Event) -> [RedisArgument] {
        switch event {
        case .report(let replica, let version, let own, let counts):
            [
                "report", .text(replica), .integer(version), .integer(own), .integer(counts.calls),
                .integer(counts.failures), .integer(counts.slow),
            ]
        case .acquire(let lease): ["acquire", .text(lease)]
        case .finish(let lease, let outcome): ["finish", .text(lease), .integer(outcome.rawValue)]
        case .look: ["look"]
        case .command(let mode, let duration, let reason, let actor, let expected):
            [
                "command", .integer(mode.rawValue), .integer(duration), .integer(expected ?? -1), .text(reason),
                .text(actor),
            ]
        }
    }

    /// Nil when the reply is none of the script's.
    static func reply(_ reply: RedisReply) -> Reply? {
        var rest = (reply.array ?? [])[...]
        guard let answer = integer(&rest).flatMap({ FleetRecord.Answer(rawValue: $0) }), let now = integer(&rest),
            let news = integer(&rest), var record = scalars(&rest)
        else { return nil }
        guard let leases = leases(&rest) else { return nil }
        if case .halfOpen(var probation) = record.cycle.phase {
            probation.leases = leases
            record.cycle.phase = .halfOpen(probation)
        }
        guard let reportCount = integer(&rest) else { return nil }
        for _ in 0..<max(0, reportCount) {
            guard let replica = text(&rest), let at = integer(&rest), let vote = integer(&rest),
                let own = integer(&rest), let calls = integer(&rest), let failures = integer(&rest),
                let slow = integer(&rest)
            else { return nil }
            let counts = CallWindow.Counts(calls: calls, failures: failures, slow: slow)
            record.reports[replica] = FleetRecord.Report(at: at, isVote: vote == 1, own: own, counts: counts)
        }
        return rest.isEmpty ? Reply(answer: answer, now: now, isNews: news == 1, record: record) : nil
    }

    private static func scalars(_ rest: inout ArraySlice<RedisReply>) -> FleetRecord? {
        guard let born = integer(&rest), let version = integer(&rest), let phase = integer(&rest),
            let openings = integer(&rest), let until = integer(&rest), let granted = integer(&rest),
            let succeeded = integer(&rest), let mode = integer(&rest).flatMap({ BreakerMode(rawValue: $0) }),
            let modeUntil = integer(&rest), let changedAt = integer(&rest), let seenAt = integer(&rest),
            let reason = text(&rest), let actor = text(&rest)
        else { return nil }
        var record = FleetRecord(now: born)
        record.cycle = BreakerCycle(epoch: version)
        record.cycle.openings = openings
        switch phase {
        case 0: record.cycle.phase = .closed
        case 1:
            record.cycle.phase = .halfOpen(
                BreakerCycle.Probation(deadline: until, granted: granted, succeeded: succeeded)
            )
        case 2: record.cycle.phase = .open(until: until)
        default: return nil
        }
        record.mode = mode
        record.modeUntil = modeUntil
        record.changedAt = changedAt
        record.seenAt = seenAt
        record.reason = reason
        record.actor = actor
        return record
    }

    private static func leases(_ rest: inout ArraySlice<RedisReply>) -> [String: Int64]? {
        guard let count = integer(&rest) else { return nil }
        var leases: [String: Int64] = [:]
        for _ in 0..<max(0, count) {
            guard let lease = text(&rest), let expiry = integer(&rest) else { return nil }
            leases[lease] = expiry
        }
        return leases
    }

    private static func integer(_ rest: inout ArraySlice<RedisReply>) -> Int64? { rest.popFirst()?.integer }
    private static func text(_ rest: inout ArraySlice<RedisReply>) -> String? { rest.popFirst()?.text }
}
