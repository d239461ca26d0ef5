package import FoundationEssentials

/// A review session's identity.
package struct ReviewID: Hashable, Sendable, CustomStringConvertible {
    package let uuid: UUID

    package init(_ uuid: UUID) {
        self.uuid = uuid
    }

    /// Nil unless `text` is a UUID.
    package init?(_ text: some StringProtocol) {
        guard let id = TaskID(text) else { return nil }
        uuid = id.uuid
    }

    /// Lower case, as it stands in URLs and subjects.
    package var description: String { TaskID(uuid).description }
}

/// Where a session stands. The raw values are those of the table.
package enum ReviewStatus: String, Sendable, CaseIterable {
    case open, approved, rejected, escalated, canceled
}

/// How a session ended, and why.
package struct ReviewOutcome: Sendable, Equatable {
    /// `approved`, `rejected` or `escalated`.
    package let status: ReviewStatus
    /// A decimal number of at most five places.
    package let score: String
    package let explanation: JSON

    package init(status: ReviewStatus, score: String, explanation: JSON) {
        self.status = status
        self.score = score
        self.explanation = explanation
    }
}

extension ReviewOutcome {
    /// The explanation in one sentence, where it has one.
    package var summary: String? { fact("summary")?.string }
    /// The share of the weights that approves, as the explanation says it.
    package var quorum: JSON? { fact("quorum").flatMap { $0.kind == .number ? $0 : nil } }

    private func fact(_ name: String) -> JSON? { explanation.fields?.first { $0.name == name }?.value }
}

/// One round of review of one artifact.
package struct ReviewSession: Sendable, Equatable {
    /// One seat's work, so that its report can be told from anybody else's.
    package struct Assignment: Sendable, Equatable {
        /// The work is handed out so often: again when whoever had it may not vote, or gave no vote.
        package static let attemptsMax = 8

        /// Stands where a task's id stands in other work items.
        package let work: TaskID
        /// What the lease tokens of all attempts are derived from; it is shown to nobody.
        package let leaseKey: String

        package init(work: TaskID, leaseKey: String) {
            self.work = work
            self.leaseKey = leaseKey
        }
    }

    package struct Decision: Sendable, Equatable {
        package let outcome: ReviewOutcome
        package let at: Date

        package init(outcome: ReviewOutcome, at: Date) {
            self.outcome = outcome
            self.at = at
        }
    }

    package enum Phase: Sendable, Equatable {
        case open
        case decided(Decision)
        case canceled(at: Date)
    }

    package let id: ReviewID
    package let tenant: TenantID
    package let task: TaskID
    package let attempt: Int
    package let round: Int
    package let author: String
    package let authorOwner: String
    package let artifact: ArtifactHash
    package let terms: ReviewTerms
    package let assignments: [AgentRole: Assignment]
    package let traceparent: String?
    package let openedAt: Date
    package let deadline: Date
    package var phase: Phase
    /// What its reviewers reported to have used while it was open.
    package var usage: ReviewUsage

    package init(
        id: ReviewID, tenant: TenantID, task: TaskID, attempt: Int, round: Int, author: String, authorOwner: String,
        artifact: ArtifactHash, terms: ReviewTerms, assignments: [AgentRole: Assignment], traceparent: String?,
        openedAt: Date, deadline: Date, phase: Phase = .open, usage: ReviewUsage = ReviewUsage()
    ) {
        self.id = id
        self.tenant = tenant
        self.task = task
        self.attempt = attempt
        self.round = round
        self.author = author
        self.authorOwner = authorOwner
        self.artifact = artifact
        self.terms = terms
        self.assignments = assignments
        self.traceparent = traceparent
        self.openedAt = openedAt
        self.deadline = deadline
        self.phase = phase
        self.usage = usage
    }

    package var status: ReviewStatus {
        switch phase {
        case .open: .open
        case .decided(let decision): decision.outcome.status
        case .canceled: .canceled
        }
    }
}
