/// What a breaker does with a call; the raw values are the metric's.
package enum BreakerState: Int, Sendable, Hashable {
    case closed = 0
    case halfOpen = 1
    case open = 2

    /// As the API and the logs write it.
    package var word: String {
        switch self {
        case .closed: "closed"
        case .halfOpen: "half_open"
        case .open: "open"
        }
    }
}

extension BreakerMode {
    /// As the API writes it.
    package var word: String {
        switch self {
        case .automatic: "automatic"
        case .forcedOpen: "force_open"
        case .disabled: "disabled"
        case .metricsOnly: "metrics_only"
        }
    }
}

/// How a breaker stands on this replica.
package struct BreakerStatus: Sendable, Hashable {
    /// Who made it so.
    package enum Origin: String, Sendable, Hashable {
        /// This replica's own window.
        case replica
        /// The fleet's votes and probes.
        case fleet
        case `operator`
    }

    package let name: String
    package let state: BreakerState
    package let origin: Origin
    /// Calls, failures and slow calls of this replica in the last ten seconds.
    package let calls: Int
    package let failures: Int
    package let slow: Int
    /// False while Redis is away and the replica decides alone.
    package let isShared: Bool
}

/// What the replicas share about one breaker.
package struct BreakerOverview: Sendable, Hashable {
    package struct Vote: Sendable, Hashable {
        package let replica: String
        /// Of the replica's own breaker.
        package let own: BreakerState
        /// Whether it voted for opening.
        package let isVote: Bool
        package let calls: Int
        package let failures: Int
        package let slow: Int
    }

    package let name: String
    package let state: BreakerState
    package let mode: BreakerMode
    /// Raised by every transition; what `If-Match` names.
    package let version: Int
    /// The last command's; empty when there was none.
    package let reason: String
    package let actor: String
    /// Seconds since it came into this state and mode.
    package let ageSeconds: Int
    /// Seconds until an open breaker lets probes through; nil otherwise.
    package let opensProbesInSeconds: Int?
    /// Seconds until the mode ends; nil when it does not end by itself.
    package let modeEndsInSeconds: Int?
    /// Probes of this half-open phase: let through, and succeeded.
    package let probes: Int
    package let probesSucceeded: Int
    /// By replica, sorted.
    package let votes: [Vote]
    /// False while Redis is away: the rest is what was known last.
    package let isCurrent: Bool
}

extension BreakerOverview {
    /// - Parameter now: milliseconds of Redis' clock.
    init(_ name: String, _ record: FleetRecord, now: Int64, isCurrent: Bool) {
        self.name = name
        self.isCurrent = isCurrent
        var (granted, succeeded): (Int64, Int64) = (0, 0)
        var waits: Int64?
        switch record.cycle.phase {
        case .closed: break
        case .open(let until): waits = max(0, until - now)
        case .halfOpen(let probation): (granted, succeeded) = (probation.granted, probation.succeeded)
        }
        let hasEnded = record.modeUntil > 0 && now >= record.modeUntil
        mode = hasEnded ? .automatic : record.mode
        state = mode == .forcedOpen ? .open : record.cycle.state
        version = Int(record.version)
        reason = record.reason
        actor = record.actor
        ageSeconds = Int(max(0, now - record.changedAt) / 1000)
        opensProbesInSeconds = waits.map { Int(($0 + 999) / 1000) }
        modeEndsInSeconds = record.modeUntil > 0 && !hasEnded ? Int((record.modeUntil - now + 999) / 1000) : nil
        probes = Int(granted)
        probesSucceeded = Int(succeeded)
        votes = record.reports.sorted { $0.key < $1.key }.map { replica, report in
            Vote(
                replica: replica, own: BreakerState(rawValue: Int(report.own)) ?? .closed, isVote: report.isVote,
                calls: Int(report.counts.calls), failures: Int(report.counts.failures), slow: Int(report.counts.slow)
            )
        }
    }
}

extension BreakerOverview {
    /// Before the fleet was ever heard of: what this replica knows.
    init(_ status: BreakerStatus, _ replica: String) {
        name = status.name
        state = status.state
        mode = .automatic
        version = 0
        reason = ""
        actor = ""
        ageSeconds = 0
        opensProbesInSeconds = nil
        modeEndsInSeconds = nil
        probes = 0
        probesSucceeded = 0
        let vote = Vote(
            replica: replica, own: status.state, isVote: false, calls: status.calls, failures: status.failures,
            slow: status.slow
        )
        votes = [vote]
        isCurrent = false
    }
}

extension BreakerCycle {
    var state: BreakerState {
        switch phase {
        case .closed: .closed
        case .open: .open
        case .halfOpen: .halfOpen
        }
    }
}

/// Thrown instead of a call that an open breaker does not let through; the dependency was not asked.
package struct BreakerRefusal: Error, Sendable, Hashable, CustomStringConvertible {
    package let name: String
    package let state: BreakerState
    /// After which a call may be let through. Work that waits for the dependency comes back then.
    package let retryAfter: Duration

    package var description: String {
        "The circuit breaker \(name) is \(state.word): the call was not made. Try again in \(retryAfter)."
    }
}
