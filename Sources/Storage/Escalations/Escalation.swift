package import Contracts
package import FoundationEssentials

/// A task that could not go on by itself, and what became of it.
package struct Escalation: Sendable, Equatable {
    /// The raw values are stored.
    package enum Status: String, Sendable, CaseIterable {
        case open
        case analyzing
        case waitingForHuman = "waiting_for_human"
        case resolved
    }

    package let id: EscalationID
    package let tenant: TenantID
    package let task: TaskID
    /// The task's attempt when it was escalated.
    package let attempt: Int
    package let role: AgentRole?
    package let source: String
    package let reason: String
    package let failedGuard: Guard?
    /// The review that brought it about.
    package let session: ReviewID?
    package let classification: EscalationCause.Classification?
    /// Raised while it waits for a human.
    package let severity: String
    package let status: Status
    /// Rounds of rework before it.
    package let rework: Int
    package let createdAt: Date
    /// What the supervisor has made of it.
    package let handling: Handling
    /// Nil until it is resolved.
    package let outcome: Outcome?

    package struct Handling: Sendable, Equatable {
        /// What it decided; carried out once it is the outcome.
        package let decision: JSON?
        /// A stable word for why, or that an analyst said so.
        package let rule: String?
        /// Why a human has to decide; a raw value of `HumanReason`.
        package let humanReason: String?
        package let waitingSince: Date?
        /// The agent that was asked, once it answered.
        package let analyst: String?
        package let analysis: JSON?
    }

    package struct Outcome: Sendable, Equatable {
        package let resolution: String
        package let plan: JSON?
        package let by: String
        package let notes: String?
        package let at: Date
    }
}

/// An escalation as it begins, with its task's row.
package struct FiledEscalation: Sendable, Equatable {
    package let id: EscalationID
    package let cause: EscalationCause

    package init(id: EscalationID, cause: EscalationCause) {
        self.id = id
        self.cause = cause
    }
}

/// An escalation as it ends, with its task's row.
package struct SettledEscalation: Sendable, Equatable {
    package let id: EscalationID
    package let resolution: Resolution
    package let by: String

    package init(id: EscalationID, resolution: Resolution, by: String) {
        self.id = id
        self.resolution = resolution
        self.by = by
    }
}

extension Resolution {
    /// What the table calls it.
    var stored: String {
        switch self {
        case .retry: "rework"
        case .reassign, .lowerScope, .raiseDeadline, .approve, .reject, .cancel: word.rawValue
        }
    }

    var notes: String? {
        switch self {
        case .retry, .lowerScope, .approve: nil
        case .reassign(let role, _): "to \(role)"
        case .raiseDeadline(let seconds, _): "to \(seconds) s"
        case .reject(let reason), .cancel(let reason): reason
        }
    }

    /// The API's word for what the table calls it.
    static func word(stored: String) -> String { stored == "rework" ? Word.retry.rawValue : stored }
}
