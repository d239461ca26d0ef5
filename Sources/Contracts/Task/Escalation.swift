package import FoundationEssentials

/// An escalation's identity: a UUID of version 7, so that ids sort by time.
package struct EscalationID: Hashable, Sendable, CustomStringConvertible {
    package let uuid: UUID

    package init(_ uuid: UUID) {
        self.uuid = uuid
    }

    /// Nil unless `text` is a UUID.
    package init?(_ text: some StringProtocol) {
        guard let id = TaskID(text) else { return nil }
        uuid = id.uuid
    }

    /// Lower case, as it stands in URLs.
    package var description: String { TaskID(uuid).description }
}

/// Why a task cannot go on by itself.
package struct EscalationCause: Sendable, Equatable {
    /// Where the trouble came from. The raw values are stored.
    package enum Source: String, Sendable, CaseIterable {
        /// An agent failed for good, in a workflow that escalates failures.
        case failure
        /// A guard was still failing after the last round of rework.
        case guardFailure = "guard"
        /// Nobody approved or rejected in time.
        case approvalDeadline = "approval_deadline"
        /// Reviewers still refused the work after the last round of rework, or could not decide.
        case review
        /// An agent said that it may not or cannot decide how to go on.
        case agent
        /// The work of an attempt, or its result, became a dead letter.
        case deadLetter = "dead_letter"
    }

    /// What kind of trouble it is. The raw values are stored.
    package enum Classification: String, Sendable, CaseIterable {
        case skillGap = "skill_gap"
        case agentConflict = "agent_conflict"
        case processIssue = "process_issue"
    }

    package let source: Source
    package let reason: String
    package let failedGuard: Guard?
    /// The session that brought it about.
    package let session: ReviewID?
    package let classification: Classification

    /// - Parameter classification: what follows from the source when nil.
    package init(
        _ source: Source, reason: String, failedGuard: Guard? = nil, session: ReviewID? = nil,
        classification: Classification? = nil
    ) {
        self.source = source
        self.reason = reason
        self.failedGuard = failedGuard
        self.session = session
        self.classification = classification ?? source.classification
    }
}

extension EscalationCause.Source {
    fileprivate var classification: EscalationCause.Classification {
        switch self {
        case .failure, .guardFailure: .skillGap
        case .approvalDeadline, .agent, .deadLetter: .processIssue
        case .review: .agentConflict
        }
    }
}

/// What becomes of an escalated task.
package enum Resolution: Sendable, Equatable {
    /// Back to the stage's work, all attempts counted anew, with a plan for it: the one that stands there when nil.
    case retry(plan: JSON?)
    /// The same, by agents of another role.
    case reassign(AgentRole, plan: JSON?)
    /// The same, for less: the plan says what is enough.
    case lowerScope(plan: JSON)
    /// The same, with so much time for each attempt; a question to a human is asked again for so long.
    case raiseDeadline(seconds: Int, plan: JSON?)
    /// What was developed is good: on to the next stage, or done.
    case approve
    case reject(reason: String)
    case cancel(reason: String)

    /// The largest plan, in bytes of JSON.
    package static let planBytesMax = 16 * 1024
    /// What a deadline may be raised to: as long as a human may be asked. Attempts get at most a task's longest.
    package static let secondsRange = Stage.approvalSeconds
    /// Characters of a reason.
    package static let reasonRange = 1...500

    package enum Word: String, Sendable, CaseIterable {
        case retry, reassign
        case lowerScope = "lower_scope"
        case raiseDeadline = "raise_deadline"
        case approve, reject, cancel
    }

    package var word: Word {
        switch self {
        case .retry: .retry
        case .reassign: .reassign
        case .lowerScope: .lowerScope
        case .raiseDeadline: .raiseDeadline
        case .approve: .approve
        case .reject: .reject
        case .cancel: .cancel
        }
    }

    package var plan: JSON? {
        switch self {
        case .retry(let plan), .reassign(_, let plan), .raiseDeadline(_, let plan): plan
        case .lowerScope(let plan): plan
        case .approve, .reject, .cancel: nil
        }
    }
}
