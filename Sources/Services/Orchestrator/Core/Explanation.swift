package import Contracts
package import FoundationEssentials

/// Why a task is where it is, in words: the answer to `GET /tasks/{id}/explain`.
package struct Explanation: Sendable, Equatable {
    /// One sentence.
    package let summary: String
    /// The facts behind it.
    package let details: [String]
    /// What could be done; nil when there is nothing to do.
    package let next: String?

    /// A label of which no more tasks may be at work.
    package struct FullLabel: Sendable {
        package let label: TaskLabel
        package let running: Int
        package let limit: Int

        package init(label: TaskLabel, running: Int, limit: Int) {
            self.label = label
            self.running = running
            self.limit = limit
        }
    }

    /// What is known besides the task itself.
    package struct Facts: Sendable {
        package let now: Date
        /// Slots of the agents online, by role.
        package let slots: [AgentRole: Int]
        /// Tasks of the same role and tenant that go first, counted to `aheadMax`.
        package let ahead: Int
        package let aheadMax: Int
        /// Who says it works on the task.
        package let holder: AgentID?
        /// Work waiting in the role's queue, and handed to agents; nil when the bus did not answer.
        package let queue: (pending: Int, held: Int)?
        /// The session it waits for; nil when the peer hub has not opened it yet.
        package let review: Review?
        package let fullLabel: FullLabel?

        package init(
            now: Date, slots: [AgentRole: Int], ahead: Int, aheadMax: Int, holder: AgentID?,
            queue: (pending: Int, held: Int)?, review: Review? = nil,
            fullLabel: FullLabel? = nil
        ) {
            self.now = now
            self.slots = slots
            self.ahead = ahead
            self.aheadMax = aheadMax
            self.holder = holder
            self.queue = queue
            self.review = review
            self.fullLabel = fullLabel
        }
    }

    /// How a session stands.
    package struct Review: Sendable {
        package let session: ReviewSession
        package let votes: [CastVote]

        package init(session: ReviewSession, votes: [CastVote]) {
            self.session = session
            self.votes = votes
        }
    }

    package static func of(_ task: TaskRecord, _ facts: Facts) -> Explanation {
        switch task.phase {
        case .queued(let runAt): queued(task, runAt, facts)
        case .running(_, let lease): running(task, lease, facts)
        case .canceling(let lease, let reason):
            Explanation(
                summary: "It is being canceled: \(reason).",
                details: ["Its agent has until \(Timestamp.text(lease.deadline)) to stop; then it is canceled anyway."],
                next: nil
            )
        case .waiting(let wait, let lease): waiting(task, wait, lease, facts)
        case .ended(let ending, let at): ended(task, ending, at)
        }
    }

    private static func queued(_ task: TaskRecord, _ runAt: Date, _ facts: Facts) -> Explanation {
        let slots = facts.slots[task.role] ?? 0
        var details = ["Agents online for the role \(task.role): \(slots) slots.", ahead(facts)]
        if task.stageAttempt > 0 {
            details.append("\(task.stageAttempt) of \(task.overrides.attemptMax) attempts are used up.")
        }
        if runAt > facts.now {
            return Explanation(
                summary: "It waits until \(Timestamp.text(runAt)) for its next attempt.", details: details, next: nil
            )
        }
        if let full = facts.fullLabel {
            return Explanation(
                summary: "It waits for the label \(full.label): \(full.running) of \(full.limit) running.",
                details: details,
                next: "It starts when one of them ends, or when an admin raises the limit: golden limits set."
            )
        }
        if slots == 0 {
            return Explanation(
                summary: "It waits for an agent: none is online for the role \(task.role).", details: details,
                next: "Start one: agent-worker --role \(task.role)"
            )
        }
        return Explanation(
            summary: "It waits for its turn: all slots its tenant may use for the role \(task.role) are busy.",
            details: details, next: "Add agents or slots for the role \(task.role), or raise the task's priority."
        )
    }

    private static func ahead(_ facts: Facts) -> String {
        facts.ahead >= facts.aheadMax
            ? "At least \(facts.aheadMax) tasks of the same tenant and role go first."
            : "\(facts.ahead) tasks of the same tenant and role go first."
    }

    private static func running(_ task: TaskRecord, _ lease: TaskRecord.Lease, _ facts: Facts) -> Explanation {
        let since = Int(facts.now.timeIntervalSince(lease.dispatchedAt))
        let attempt = "Attempt \(task.stageAttempt) of \(task.overrides.attemptMax), handed out \(since) s ago"
        let deadline = "A result counts until \(Timestamp.text(lease.deadline)); after that the attempt is repeated."
        if let holder = facts.holder {
            return Explanation(summary: "\(holder) works on it.", details: ["\(attempt).", deadline], next: nil)
        }
        let slots = facts.slots[task.role] ?? 0
        var details = ["\(attempt); no agent online says that it holds it yet.", deadline]
        if let queue = facts.queue {
            details.append("In the role's queue: \(queue.pending) waiting, \(queue.held) held by agents.")
        }
        return Explanation(
            summary: "It was handed out and waits to be picked up by an agent of the role \(task.role).",
            details: details, next: slots == 0 ? "Start one: agent-worker --role \(task.role)" : nil
        )
    }

    private static func waiting(
        _ task: TaskRecord, _ wait: TaskRecord.Wait, _ lease: TaskRecord.Lease, _ facts: Facts
    ) -> Explanation {
        let since = "It waits since \(Timestamp.text(lease.dispatchedAt))"
        let deadline = Timestamp.text(lease.deadline)
        switch wait {
        case .execution:
            return Explanation(
                summary: "The sandbox runs its tests: attempt \(task.stageAttempt).",
                details: [
                    "It waits since \(Timestamp.text(lease.executionAskedAt)), until \(deadline), or longer while it "
                        + "stands in line.",
                    "Then another attempt begins, or it fails.",
                    "Execution \(lease.token); without a sandbox-executor it waits in vain.",
                ],
                next: "golden status"
            )
        case .review: return reviewing(task, since: "\(since), at most until \(deadline)", facts)
        case .approval:
            return Explanation(
                summary: "It waits for somebody to approve or reject what was developed.",
                details: ["\(since), at most until \(deadline); then it is escalated."],
                next: "golden tasks approve \(task.id)   or   golden tasks reject \(task.id) --reason WHY"
            )
        case .resolution:
            return Explanation(
                summary: "It was escalated and waits for somebody to say what becomes of it.",
                details: [
                    "\(since), at most until \(deadline); then it fails.",
                    "Escalation \(lease.token) says why. Rounds of rework so far: \(task.rework).",
                ],
                next: "golden escalations show \(lease.token)"
            )
        }
    }

    private static func reviewing(_ task: TaskRecord, since: String, _ facts: Facts) -> Explanation {
        let summary = "Its peers review it: round \(task.reviewRound)."
        let bound = "\(since); then it is escalated. Rounds of rework so far: \(task.rework)."
        guard let review = facts.review else {
            let asked = "The peer hub was asked for a review and has not opened it yet; it is asked until it does."
            return Explanation(summary: summary, details: [asked, bound], next: nil)
        }
        let session = review.session
        var details = [
            "Session \(session.id) is \(session.status.rawValue); votes count until "
                + "\(Timestamp.text(session.deadline)), and \(session.terms.quorum) of the weights approve."
        ]
        var unstaffed: AgentRole?
        for seat in session.terms.seats {
            let vote = review.votes.first { $0.role == seat.role }
            if let vote {
                details.append("\(seat.role) (\(seat.weight)): \(vote.choice.rawValue), by \(vote.reviewer).")
            } else if facts.slots[seat.role] ?? 0 == 0 {
                unstaffed = unstaffed ?? seat.role
                details.append("\(seat.role) (\(seat.weight)): has not voted; no agent is online for the role.")
            } else {
                details.append("\(seat.role) (\(seat.weight)): has not voted.")
            }
        }
        return Explanation(
            summary: summary, details: details + [bound],
            next: unstaffed.map { "Start one: agent-worker --role \($0)" } ?? "golden reviews show \(session.id)"
        )
    }

    private static func ended(_ task: TaskRecord, _ ending: TaskRecord.Ending, _ at: Date) -> Explanation {
        let summary =
            switch ending {
            case .completed: "It was completed."
            case .failed(let code, let message): "It failed (\(code)): \(message)"
            case .canceled(let reason): "It was canceled: \(reason)"
            case .rejected(let reason): "An agent rejected it: \(reason)"
            }
        let took = Int(at.timeIntervalSince(task.createdAt))
        return Explanation(
            summary: summary,
            details: [
                "It ended at \(Timestamp.text(at)), \(took) s after it was accepted, with \(task.attempt) attempts."
            ],
            next: nil
        )
    }
}
