internal import Contracts
internal import Postgres

/// Counts ballots in one transaction: locks their sessions, checks each ballot against what stands there, adds the
/// votes and what they took, and decides what can be decided.
struct BallotCount {
    private let ballots: [Ballot]
    private let decide: ReviewStore.Decide
    private var locked: [ReviewID: LockedReview] = [:]
    private var added: [CountedVote] = []
    /// Sessions whose reviewers have used more than stands there.
    private var charged: Set<ReviewID> = []
    private var decisions: [(id: ReviewID, outcome: ReviewOutcome)] = []

    init(_ ballots: [Ballot], decide: @escaping ReviewStore.Decide) {
        self.ballots = ballots
        self.decide = decide
    }

    /// One outcome per ballot, in their order. Ends the transaction.
    mutating func run(in tx: borrowing PostgresTransaction) throws -> [BallotOutcome] {
        let ids = Array(Set(ballots.map(\.session)))
        for review in try tx.execute(LockReviews(ids: ids)) { locked[review.session.id] = review }
        try Self.addVotes(to: &locked, in: tx)
        let verdicts = ballots.map { judge($0) }
        for id in ids { decideIfPossible(id) }
        let sessions = try write(in: tx)
        return verdicts.map { verdict in
            switch verdict {
            case .counted(let session): .counted(sessions[session.id] ?? session)
            case .repeated(let session): .repeated(sessions[session.id] ?? session)
            case .refused(let refusal, let session): .refused(refusal, sessions[session.id] ?? session)
            case .unknown: .unknown
            }
        }
    }

    /// Decides sessions whose deadline has passed. Ends the transaction.
    static func sweep(
        limit: Int, decide: @escaping ReviewStore.Decide, in tx: borrowing PostgresTransaction
    ) throws -> [ReviewSession] {
        var count = BallotCount([], decide: decide)
        for review in try tx.execute(TakeDueReviews(limit: limit)) { count.locked[review.session.id] = review }
        guard !count.locked.isEmpty else { return [] }
        try addVotes(to: &count.locked, in: tx)
        for id in count.locked.keys { count.decideIfPossible(id) }
        return try Array(count.write(in: tx).values)
    }

    private static func addVotes(
        to locked: inout [ReviewID: LockedReview], in tx: borrowing PostgresTransaction
    ) throws {
        // A statement of its own, so that it sees what was committed while the lock was awaited.
        for (id, vote) in try tx.execute(ListCastVotes(ids: Array(locked.keys))) { locked[id]?.votes.append(vote) }
    }

    private mutating func judge(_ ballot: Ballot) -> BallotOutcome {
        guard let review = locked[ballot.session] else { return .unknown }
        if case .principal(let tenant) = ballot.proof, tenant != review.session.tenant { return .unknown }
        guard let role = Self.seat(of: ballot, in: review.session) else { return .refused(.foreign, review.session) }
        let session = charge(ballot, role, review.session)
        let vote = ballot.body.map { CastVote(reviewer: ballot.reviewer, role: role, choice: $0.choice) }
        // Before anything else, so that a message that comes again is told the same as the first time.
        if let vote, review.votes.contains(vote) { return .repeated(session) }
        if let refusal = Self.refusal(of: ballot, role, review) { return .refused(refusal, session) }
        guard let vote, let body = ballot.body, let owner = ballot.owner else { return .refused(.noVote, session) }
        locked[session.id]?.votes.append(vote)
        added.append(
            CountedVote(session: session, cast: vote, owner: owner, body: body, messageID: ballot.messageID))
        return .counted(session)
    }

    /// Keeps what an attempt at the seat took, whatever comes of its vote; the decision says the sum of it.
    private mutating func charge(_ ballot: Ballot, _ role: AgentRole, _ session: ReviewSession) -> ReviewSession {
        var session = session
        guard session.status == .open, case .lease(_, let attempt, _) = ballot.proof,
            session.usage.note(ballot.usageTokens, of: role, attempt: attempt)
        else { return session }
        locked[session.id]?.session = session
        charged.insert(session.id)
        return session
    }

    /// The seat that the ballot proves to be its sender's.
    private static func seat(of ballot: Ballot, in session: ReviewSession) -> AgentRole? {
        switch ballot.proof {
        case .principal: return ballot.role.flatMap { session.terms.weight(of: $0) == nil ? nil : $0 }
        case .lease(let work, let attempt, let token):
            let role = SeatLease.role(in: session, work: work, attempt: attempt, token: token)
            return ballot.role == nil || ballot.role == role ? role : nil
        }
    }

    /// Why the ballot does not count. What the seat's state says comes first: only where the seat is still empty does
    /// it matter who tried.
    private static func refusal(
        of ballot: Ballot, _ role: AgentRole, _ review: LockedReview
    ) -> BallotOutcome.Refusal? {
        let session = review.session
        if session.status != .open || review.isDue { return .late }
        if let holder = review.votes.first(where: { $0.role == role }) {
            return holder.reviewer == ballot.reviewer ? .duplicate : .seatTaken
        }
        guard let body = ballot.body else { return .noVote }
        if ballot.reviewer == session.author { return .author }
        guard let owner = ballot.owner else { return .unknownAgent }
        if owner == session.authorOwner { return .sameOwner }
        if let announced = ballot.announced, !announced.contains(role) { return .otherRole }
        let isBoundByLease = if case .lease = ballot.proof { true } else { false }
        if body.artifact != session.artifact, body.artifact != nil || !isBoundByLease { return .wrongArtifact }
        if review.votes.contains(where: { $0.reviewer == ballot.reviewer }) { return .otherSeat }
        return nil
    }

    private mutating func decideIfPossible(_ id: ReviewID) {
        guard let review = locked[id], review.session.status == .open,
            let outcome = decide(review.session, review.votes, review.isDue)
        else { return }
        decisions.append((id, outcome))
    }

    /// Answers the sessions that are decided by this.
    private func write(in tx: borrowing PostgresTransaction) throws -> [ReviewID: ReviewSession] {
        if !charged.isEmpty {
            try tx.enqueue(KeepReviewUsage(sessions: charged.compactMap { locked[$0]?.session }))
        }
        if decisions.isEmpty {
            if !added.isEmpty || !charged.isEmpty { _ = try tx.finish(InsertVotes(votes: added)) }
            return [:]
        }
        if !added.isEmpty { try tx.enqueue(InsertVotes(votes: added)) }
        let outcomes = Dictionary(decisions.map { ($0.id, $0.outcome) }) { first, _ in first }
        var decided: [ReviewID: ReviewSession] = [:]
        for (id, at) in try tx.finish(DecideReviews(decisions: decisions)) {
            guard var session = locked[id]?.session, let outcome = outcomes[id] else { continue }
            session.phase = .decided(ReviewSession.Decision(outcome: outcome, at: at))
            decided[id] = session
        }
        return decided
    }
}
