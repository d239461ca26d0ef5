/// The commands of one live connection: those that wait for the wire, and those that are on it in the order in
/// which their replies will come.
///
/// Confined to the connection's thread. It only computes; the loop carries out what it answers.
struct Pipeline {
    /// A call and how it ended.
    typealias Ending = (call: Call, outcome: Call.Outcome)

    private var waiting = FIFO<Call>()
    private var sent = FIFO<Call>()
    /// No call expires before this instant. It may lag behind (be too early), never ahead.
    private(set) var earliestDeadline: ContinuousClock.Instant?

    var isIdle: Bool { waiting.isEmpty && sent.isEmpty }
    var hasWaiting: Bool { !waiting.isEmpty }

    mutating func accept(_ calls: [Call]) {
        waiting.append(contentsOf: calls)
        for call in calls { note(call.deadline) }
    }

    /// The next call to put on the wire, which counts as sent from now on. Calls that ended or expired while
    /// waiting are passed over and added to `endings`.
    mutating func nextToSend(now: ContinuousClock.Instant, endings: inout [Ending]) -> Call? {
        while let call = waiting.popFirst() {
            if call.hasEnded {
                endings.append((call, .failure(.cancelled)))
            } else if call.deadline <= now {
                endings.append((call, .failure(.expiredUnsent)))
            } else {
                sent.append(call)
                return call
            }
        }
        return nil
    }

    /// Gives a reply to the oldest sent call.
    ///
    /// - Throws: `protocolViolation` when no call waits for a reply.
    mutating func pair(_ outcome: Call.Outcome) throws(RedisError) -> Ending {
        guard let call = sent.popFirst() else {
            throw RedisError(.protocolViolation, "Redis sent a reply nobody had asked for; the connection was dropped.")
        }
        return (call, outcome)
    }

    /// True when a sent call is past its deadline, also one whose caller has left: the server owes its reply.
    /// Waiting calls past their deadline are added to `endings`.
    mutating func expire(now: ContinuousClock.Instant, endings: inout [Ending]) -> Bool {
        guard let earliest = earliestDeadline, earliest <= now else { return false }
        earliestDeadline = nil
        var kept = FIFO<Call>()
        for call in waiting.removeAll() {
            if call.deadline <= now {
                endings.append((call, .failure(.expiredUnsent)))
            } else {
                kept.append(call)
                note(call.deadline)
            }
        }
        waiting = kept
        var late = false
        for call in sent.all {
            if call.deadline <= now { late = true }
            note(call.deadline)
        }
        return late
    }

    /// Ends everything: sent calls past their deadline with `timeout`, the others with `failure`.
    mutating func abandon(now: ContinuousClock.Instant, failure: RedisError) -> [Ending] {
        earliestDeadline = nil
        let onWire = sent.removeAll().map { call -> Ending in
            (call, .failure(call.deadline <= now ? .timedOut : failure))
        }
        return onWire + waiting.removeAll().map { ($0, .failure(failure)) }
    }

    private mutating func note(_ deadline: ContinuousClock.Instant) {
        earliestDeadline = min(earliestDeadline ?? deadline, deadline)
    }
}
