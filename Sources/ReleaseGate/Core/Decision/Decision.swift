/// What the gate says at one look, and why.
package struct Decision: Sendable, Equatable, Codable {
    /// In order of what is done for a train: the last one that any service asks for wins.
    package enum Outcome: String, Sendable, Codable, CaseIterable, Comparable {
        /// The release is proven good at its last step.
        case seal
        /// On to the next step.
        case advance
        /// Nothing is wrong and the step is not over.
        case wait
        /// The step is over, what it should have shown is not there yet.
        case extend
        /// No further without a person.
        case hold
        case rollBack = "roll_back"

        package static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }

        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

        /// The process's exit code: promote 0, hold 10, roll back 20.
        package var exitCode: Int32 {
            switch self {
            case .seal, .advance: 0
            case .wait, .extend, .hold: 10
            case .rollBack: 20
            }
        }
    }

    /// Which row of the table decided. The raw values are stable: metrics and records carry them.
    package enum Row: String, Sendable, Codable, CaseIterable {
        case schemaPastContract = "schema_past_contract"
        case canaryUnhealthy = "canary_unhealthy"
        case worseThanStable = "worse_than_stable"
        case environmentBad = "environment_bad"
        case provenBad = "proven_bad"
        case canaryDegraded = "canary_degraded"
        case evidenceLacking = "evidence_lacking"
        case invariantBroken = "invariant_broken"
        case stepRunning = "step_running"
        case stepPassed = "step_passed"
        case provenGood = "proven_good"
        case undecided
        /// Whatever was seen, the lineage forbids it: told to controllers, and of no look that is recorded.
        case barred
    }

    /// Whether it says that the release, or where it runs, is bad: any other hold wants a look, and passes. A rollback
    /// that the schema forbids is one.
    package var showsBad: Bool {
        outcome == .rollBack || row == .schemaPastContract || services.contains { $0.row == .environmentBad }
    }

    package struct ServiceDecision: Sendable, Equatable, Codable {
        package let service: String
        package let outcome: Outcome
        package let row: Row
        package let lines: [String]

        package init(service: String, outcome: Outcome, row: Row, lines: [String]) {
            self.service = service
            self.outcome = outcome
            self.row = row
            self.lines = lines
        }
    }

    package let outcome: Outcome
    package let row: Row
    /// Somebody has to be called now.
    package let pages: Bool
    /// The service whose decision became the train's; nil when all agree on going on.
    package let decidedBy: String?
    /// For people, line by line.
    package let lines: [String]
    package let services: [ServiceDecision]

    package init(
        outcome: Outcome, row: Row, pages: Bool, decidedBy: String?, lines: [String], services: [ServiceDecision]
    ) {
        self.outcome = outcome
        self.row = row
        self.pages = pages
        self.decidedBy = decidedBy
        self.lines = lines
        self.services = services
    }
}
