internal import Contracts
internal import FoundationEssentials

/// What becomes of work that peers judge.
extension TaskStep {
    /// - Parameter seconds: for the votes, instead of the stage's.
    mutating func askForReview(seconds: Int? = nil) {
        task.reviewRound += 1
        let session = ReviewID(TaskID(at: context.now, random: context.random).uuid)
        let seconds = seconds ?? Int(stage.timeout.components.seconds)
        let deadline = context.now.addingTimeInterval(TimeInterval(seconds))
        task.phase = .waiting(
            .review,
            TaskRecord.Lease(
                token: session.description, dispatchedAt: context.now,
                deadline: deadline.addingTimeInterval(TaskMachine.reviewGrace)
            ))
        record(.reviewRequested) { [task, stage] in
            $0.field("stage", stage.name)
            $0.field("session_id", session.description)
            $0.field("round", task.reviewRound)
            $0.field(ifPresent: "author", task.author?.agent.text)
            $0.field("deadline", Timestamp.text(deadline))
        }
        effects.append(.review(session))
    }

    /// The peers' answer: on, back with their concerns, or to somebody who can decide. What they used is the task's.
    mutating func conclude(_ decision: ReviewDecision) {
        let outcome = decision.outcome
        task.usageTokens += decision.usageTokens
        record(.reviewDecided) {
            $0.field("session_id", decision.session.description)
            $0.field("round", decision.round)
            $0.field("decision", outcome.status.rawValue)
            $0.field("score", decimal: outcome.score)
            $0.field(ifPresent: "quorum", outcome.quorum)
            $0.field("votes", decision.votes.count)
            $0.field(ifPresent: "reason", outcome.summary)
        }
        let author = task.author
        switch outcome.status {
        case .approved: advance(nil)
        case .rejected: refuse(decision)
        case .escalated, .open, .canceled:
            task.plan = ReviewPlan.of(decision)
            escalate(
                EscalationCause(
                    .review, reason: "The reviewers could not decide. \(outcome.summary ?? "")",
                    session: decision.session,
                    // Nobody spoke against it: reviewers were missing, not at odds.
                    classification: decision.votes.contains { $0.cast.choice != .approve }
                        ? .agentConflict : .processIssue
                ))
        }
        guard let author, let version = author.promptVersion else { return }
        let isSentBack = outcome.status == .rejected && task.state == .queued
        effects.append(
            .keep(
                PromptReview(
                    session: decision.session, role: author.role, version: version, attempt: decision.attempt,
                    round: decision.round, status: outcome.status, isSentBack: isSentBack
                )))
    }

    private mutating func refuse(_ decision: ReviewDecision) {
        let plan = ReviewPlan.of(decision)
        let summary = decision.outcome.summary ?? "The reviewers refused it."
        guard task.rework < Workflow.reworkMax else {
            task.plan = plan
            return escalate(
                EscalationCause(
                    .review, reason: "After \(task.rework) rounds of rework it is still refused. \(summary)",
                    session: decision.session, classification: .skillGap
                ))
        }
        rework(
            reason: summary, stage: context.workflow.workStage(atOrBefore: task.stage),
            role: task.author?.role ?? task.role, plan: plan)
    }

    /// The peers did not answer at all: the hub, not they, is what is missing.
    mutating func giveUpReview() {
        let reason = "No decision came from the peer hub within \(Int(TaskMachine.reviewGrace)) s of the deadline."
        let session = task.lease.flatMap { ReviewID($0.token) }
        closeReview(reason)
        escalate(EscalationCause(.review, reason: reason, session: session, classification: .processIssue))
    }

    mutating func closeReview(_ reason: String) {
        guard let session = task.lease.flatMap({ ReviewID($0.token) }) else { return }
        effects.append(
            .closeReview(
                ReviewCancellation(session: session, tenant: task.tenant, task: task.id, reason: reason)))
    }
}
