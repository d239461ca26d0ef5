import Contracts
import Foundation
import OrchestratorCore
import PeerHubCore

/// The peer hub around the real tally: it keeps nothing in memory, so that dying costs it the message at hand only.
extension World {
    private func onHub(_ body: () throws -> Void) -> Settlement {
        do {
            try body()
            return .acknowledge
        } catch {
            note("the hub dies")
            return .handBack(after: 30)
        }
    }

    func openReview(_ request: ReviewRequest) -> Settlement {
        onHub {
            try boundary()
            if database.reviews[request.session] == nil {
                guard let artifact = Scenes.artifact else { return complain("there is no artifact") }
                database.sessions.append(request.session)
                database.reviews[request.session] = Database.ReviewRow(
                    session: ReviewSession(
                        id: request.session, tenant: request.tenant, task: request.task, attempt: request.attempt,
                        round: request.round, author: request.author, authorOwner: request.authorOwner,
                        artifact: artifact, terms: request.terms, assignments: [:], traceparent: nil, openedAt: now,
                        deadline: now.addingTimeInterval(Double(request.timeoutSeconds))))
                activity += 1
                note("review \(request.session.short) of \(request.task.short) is open")
            }
            // Asked again, the seats that are empty are handed out again.
            derivations += 1
            guard let row = database.reviews[request.session], row.session.status == .open else { return }
            for seat in row.session.terms.seats where !row.votes.contains(where: { $0.role == seat.role }) {
                try boundary()
                let place = row.session.terms.seats.firstIndex(of: seat) ?? 0
                _ = publish(
                    MessageID(
                        kind: "seat", about: request.session.uuid, number: place,
                        derivation: derivations),
                    .seat(request.session, seat.role))
            }
        }
    }

    /// A reviewer votes, late, twice, differently the second time, or never.
    func takeSeat(_ session: ReviewID, _ role: AgentRole) -> Settlement {
        if misfortune(6) { return .handBack(after: 30) }
        let choices: [VoteChoice] = isCalm ? [.approve] : [.approve, .approve, .approve] + VoteChoice.allCases
        let reviewer = "\(role)-\(dice.roll(2))"
        let vote = SeatVote(
            session: session, cast: CastVote(reviewer: reviewer, role: role, choice: dice.pick(choices)))
        seen.sentVotes[session, default: []].append(vote.cast)
        derivations += 1
        let id = MessageID(kind: "vote", about: session.uuid, derivation: derivations)
        return publish(id, .vote(vote)) ? .acknowledge : .handBack(after: 2)
    }

    func countVote(_ vote: SeatVote) -> Settlement {
        onHub {
            guard let row = database.reviews[vote.session] else { return }
            var cast = vote.cast
            if plant == .repeatedVote, row.votes.contains(cast),
                let other = row.session.terms.seats.first(where: { seat in
                    !row.votes.contains { $0.role == seat.role }
                })
            {
                cast = CastVote(reviewer: cast.reviewer, role: other.role, choice: cast.choice)
            }
            guard row.session.status == .open, now < row.session.deadline,
                !row.votes.contains(where: { $0.role == cast.role })
            else { return }
            try boundary()
            database.reviews[vote.session]?.votes.append(cast)
            activity += 1
            note("counted: \(Parcel.vote(vote).text)")
            conclude(vote.session, atDeadline: false)
            try boundary()
            announce(vote.session)
        }
    }

    /// In the transaction of the vote, or of the sweep.
    private func conclude(_ id: ReviewID, atDeadline: Bool) {
        guard let row = database.reviews[id], row.session.status == .open,
            let outcome = Tally(row.session.terms, row.votes).outcome(atDeadline: atDeadline)
        else { return }
        database.reviews[id]?.session.phase = .decided(ReviewSession.Decision(outcome: outcome, at: now))
        database.reviews[id]?.wasDue = atDeadline
        activity += 1
        note("review \(id.short) is \(outcome.status), \(outcome.score)")
        checkReview(id)
    }

    func announce(_ id: ReviewID) {
        guard let decision = decision(of: id), database.reviews[id]?.isAnnounced == false else { return }
        if publish(MessageID(kind: "decision", about: id.uuid), .decision(decision)) {
            database.reviews[id]?.isAnnounced = true
            activity += 1
        }
    }

    /// - Parameter other: under the name of that session.
    func decision(of id: ReviewID, as other: ReviewID? = nil) -> ReviewDecision? {
        guard let row = database.reviews[id] else { return nil }
        let session = row.session
        return ReviewDecision(
            ReviewSession(
                id: other ?? id, tenant: session.tenant, task: session.task, attempt: session.attempt,
                round: session.round, author: session.author, authorOwner: session.authorOwner,
                artifact: session.artifact, terms: session.terms, assignments: [:], traceparent: nil,
                openedAt: session.openedAt, deadline: session.deadline, phase: session.phase),
            votes: row.votes.map {
                ReviewVote(cast: $0, owner: "r", weight: .one, opinion: Scenes.opinion, votedAt: session.openedAt)
            })
    }

    func closeReview(_ id: ReviewID) -> Settlement {
        onHub {
            try boundary()
            guard database.reviews[id]?.session.status == .open else { return }
            database.reviews[id]?.session.phase = .canceled(at: now)
            activity += 1
            note("review \(id.short) is closed")
        }
    }

    /// Decides what is due, and announces what nobody has confirmed.
    func sweepReviews() {
        for id in database.sessions {
            guard let row = database.reviews[id] else { continue }
            if row.session.deadline <= now { conclude(id, atDeadline: true) }
            announce(id)
        }
    }
}
