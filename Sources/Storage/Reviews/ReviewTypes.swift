package import Contracts

/// What somebody reports about a seat, not yet believed: a vote, or that there is none.
package struct Ballot: Sendable {
    /// How the sender proves that the seat is theirs.
    package enum Proof: Sendable, Equatable {
        /// By what the seat's work item said.
        case lease(work: TaskID, attempt: Int, token: String)
        /// By a token at the API, for a tenant's session.
        case principal(TenantID)
    }

    package let session: ReviewID
    /// Nil: the role follows from the work item.
    package let role: AgentRole?
    package let reviewer: String
    /// Nil: nobody knows this agent.
    package let owner: String?
    /// The roles the sender announced; nil where somebody else has checked that.
    package let announced: Set<AgentRole>?
    /// Nil: the sender holds the seat's work and gives no vote.
    package let body: VoteBody?
    package let proof: Proof
    package let messageID: String?
    /// What the sender's attempt at the seat has used since its beginning.
    package let usageTokens: Int

    package init(
        session: ReviewID, role: AgentRole?, reviewer: String, owner: String?, announced: Set<AgentRole>? = nil,
        body: VoteBody?, proof: Proof, messageID: String? = nil, usageTokens: Int = 0
    ) {
        self.session = session
        self.role = role
        self.reviewer = reviewer
        self.owner = owner
        self.announced = announced
        self.body = body
        self.proof = proof
        self.messageID = messageID
        self.usageTokens = usageTokens
    }
}

/// What became of a ballot.
package enum BallotOutcome: Sendable, Equatable {
    /// It counts. The session may be decided by it, or by another vote of the same moment.
    case counted(ReviewSession)
    /// The same reviewer had cast the same vote before.
    case repeated(ReviewSession)
    case refused(Refusal, ReviewSession)
    /// There is no such session, or it is another tenant's.
    case unknown

    /// Why a vote does not count. The raw values stand in answers, logs and metrics.
    package enum Refusal: String, Sendable, CaseIterable {
        /// The session is decided, or its deadline has passed.
        case late
        /// The role has no seat, or the work item is not this seat's.
        case foreign
        /// The author's own.
        case author
        /// By an agent of the author's owner.
        case sameOwner = "same_owner"
        /// About another artifact.
        case wrongArtifact = "wrong_artifact"
        /// The reviewer has voted differently before.
        case duplicate
        /// The reviewer has voted for another seat.
        case otherSeat = "other_seat"
        /// Another agent of the role was first.
        case seatTaken = "seat_taken"
        /// The agent has not announced the seat's role.
        case otherRole = "other_role"
        /// Nobody knows the agent, so nobody knows whose it is.
        case unknownAgent = "unknown_agent"
        /// The agent reported a failure, or something that is no vote.
        case noVote = "no_vote"

        /// True when another agent could still vote for the seat.
        package var leavesSeatEmpty: Bool {
            switch self {
            case .late, .foreign, .duplicate, .seatTaken: false
            case .author, .sameOwner, .wrongArtifact, .otherSeat, .otherRole, .unknownAgent, .noVote: true
            }
        }
    }

    package var session: ReviewSession? {
        switch self {
        case .counted(let session), .repeated(let session), .refused(_, let session): session
        case .unknown: nil
        }
    }
}

/// What became of a wish to open a session.
package enum OpeningOutcome: Sendable, Equatable {
    case opened(ReviewSession)
    /// Opened before by the same request; as it stands now.
    case exists(ReviewSession)
    /// The id, or the task's round, belongs to another session.
    case conflict(ReviewSession)
}

/// Which sessions a listing shows, newest first.
package struct ReviewFilter: Sendable {
    package let tenant: TenantID
    package var status: ReviewStatus?
    /// Only sessions before this one, by id.
    package var before: ReviewID?
    package var limit: Int

    package init(tenant: TenantID, status: ReviewStatus? = nil, before: ReviewID? = nil, limit: Int) {
        self.tenant = tenant
        self.status = status
        self.before = before
        self.limit = limit
    }
}
