/// What was seen of one release at one look, service by service.
package struct TrainEvidence: Sendable, Equatable, Codable {
    package let services: [ServiceEvidence]
    package let schema: SchemaState

    package init(services: [ServiceEvidence], schema: SchemaState = .compatible) {
        self.services = services
        self.schema = schema
    }
}

/// Whether the version before can still run on the database as it is now.
package enum SchemaState: String, Sendable, Codable {
    /// Expand only: old and new code both run on it.
    case compatible
    /// What old code needs was taken away ("contract"): going back would break it.
    case pastContract = "past_contract"
}

package struct ServiceEvidence: Sendable, Equatable, Codable {
    package let service: String
    package let health: CanaryHealth
    package let indicators: [IndicatorEvidence]
    package let breakers: [BreakerEvidence]
    /// The installation's; nil where nobody watches them.
    package let deadLetters: DeadLetterEvidence?
    /// Signals that are watched and cannot be told; nil in records of before this was kept.
    package let unknownSignals: [UnknownSignal]?

    package init(
        service: String, health: CanaryHealth, indicators: [IndicatorEvidence], breakers: [BreakerEvidence] = [],
        deadLetters: DeadLetterEvidence? = nil, unknownSignals: [UnknownSignal]? = nil
    ) {
        self.service = service
        self.health = health
        self.indicators = indicators
        self.breakers = breakers
        self.deadLetters = deadLetters
        self.unknownSignals = unknownSignals
    }
}

/// A signal that is watched and says nothing, which is no good news: of breakers or dead letters nothing is known then.
package struct UnknownSignal: Sendable, Equatable, Codable {
    /// As people call it: `dead letters`, `breakers on canary`.
    package let name: String
    /// Why it says nothing; never counts.
    package let reading: Reading

    package init(_ name: String, _ reading: Reading) {
        self.name = name
        self.reading = reading
    }
}

/// How the canary's own processes are.
package struct CanaryHealth: Sendable, Equatable, Codable {
    package let ready: Int
    package let desired: Int
    /// Since the step began.
    package let crashes: Int
    package let outOfMemoryKills: Int
    /// How long some of the desired have not been ready; zero when all are.
    package let unreadySeconds: Int

    package init(ready: Int, desired: Int, crashes: Int = 0, outOfMemoryKills: Int = 0, unreadySeconds: Int = 0) {
        self.ready = ready
        self.desired = desired
        self.crashes = crashes
        self.outOfMemoryKills = outOfMemoryKills
        self.unreadySeconds = unreadySeconds
    }
}

/// One objective's counts since the canary's digests got their first traffic, across steps.
package struct IndicatorEvidence: Sendable, Equatable, Codable {
    /// One look's worth of time. Intervals stand in order and do not overlap.
    package struct Interval: Sendable, Equatable, Codable {
        package let endSeconds: Int
        package let canary: Reading
        package let stable: Reading

        package init(endSeconds: Int, canary: Reading, stable: Reading) {
            self.endSeconds = endSeconds
            self.canary = canary
            self.stable = stable
        }
    }

    /// Counts over one window that ends at the look (or where the step began).
    package struct Window: Sendable, Equatable, Codable {
        package let seconds: Int
        package let reading: Reading

        package init(seconds: Int, reading: Reading) {
            self.seconds = seconds
            self.reading = reading
        }
    }

    /// One side's windows for the burn rules.
    package struct Burn: Sendable, Equatable, Codable {
        package let atStepStart: [Window]
        package let now: [Window]

        package init(atStepStart: [Window] = [], now: [Window] = []) {
            self.atStepStart = atStepStart
            self.now = now
        }
    }

    package let objective: String
    package let intervals: [Interval]
    package let canaryBurn: Burn
    package let stableBurn: Burn

    package init(objective: String, intervals: [Interval], canaryBurn: Burn = Burn(), stableBurn: Burn = Burn()) {
        self.objective = objective
        self.intervals = intervals
        self.canaryBurn = canaryBurn
        self.stableBurn = stableBurn
    }
}

package struct BreakerEvidence: Sendable, Equatable, Codable {
    package enum State: String, Sendable, Codable {
        case closed, open
        case halfOpen = "half_open"
    }

    /// Which version's processes report it.
    package enum Side: String, Sendable, Codable { case canary, stable }

    package let name: String
    package let side: Side
    package let state: State
    /// How long it has been in that state.
    package let forSeconds: Int

    package init(name: String, side: Side, state: State, forSeconds: Int) {
        self.name = name
        self.side = side
        self.state = state
        self.forSeconds = forSeconds
    }
}

package struct DeadLetterEvidence: Sendable, Equatable, Codable {
    package let unresolved: Int
    package let unresolvedAtStepStart: Int

    package init(unresolved: Int, unresolvedAtStepStart: Int) {
        self.unresolved = unresolved
        self.unresolvedAtStepStart = unresolvedAtStepStart
    }
}
