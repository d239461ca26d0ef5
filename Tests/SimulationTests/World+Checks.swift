import Contracts
import Foundation
import OrchestratorCore
import PeerHubCore

@testable import Coordination
@testable import Storage

/// What was seen to happen, kept beside the rows so that the rows can be held against it.
struct Seen {
    struct Attempt: Hashable {
        let task: TaskID
        let number: Int
    }

    var outcomes: Set<Attempt> = []
    /// The most that a report said which counted.
    var tokens: [Attempt: Int] = [:]
    var decisions: Set<ReviewID> = []
    var sentVotes: [ReviewID: [CastVote]] = [:]
}

/// What must hold whatever goes wrong.
extension World {
    /// Looks at one step of a task before it is written.
    func observe(_ step: Database.Step, over row: TaskRecord?) {
        if let row, row.state.isTerminal { complain("a task that has ended goes on") }
        switch step.event {
        case .reported(let report): observe(report, step)
        case .reviewDecided(let decision):
            if decision.session.description != step.before.lease?.token { complain("another review's decision counts") }
            if !seen.decisions.insert(decision.session).inserted { complain("a review's decision counts twice") }
            if database.reviews[decision.session]?.session.status != decision.outcome.status {
                complain("a decision counts that was not made")
            }
        case .unsent:
            // Whoever has reported was sent it.
            let tries = step.before.stageAttempt - (step.before.progressSeen == 0 ? 1 : 0)
            if step.after.state == .queued, step.after.stageAttempt != tries {
                complain("an attempt that nobody was sent counts as a try")
            }
        case .dispatched, .cancelRequested, .deadlinePassed, .approvalGiven, .escalationResolved, .executed, .buried,
            .unfinished, nil:
            break
        }
        var sequence = row.flatMap { database.tasks[$0.id]?.story.count } ?? 0
        for case .record(let event) in step.effects {
            sequence += 1
            if event.sequence != sequence { complain("a task's story has a gap or a repetition") }
        }
        var used = 0
        for number in 0...step.after.attempt {
            used += seen.tokens[Seen.Attempt(task: step.after.id, number: number)] ?? 0
        }
        if step.after.usageTokens != used { complain("a task used \(step.after.usageTokens) tokens, not \(used)") }
    }

    private func observe(_ report: AgentReport, _ step: Database.Step) {
        let attempt = Seen.Attempt(task: report.task, number: report.attempt)
        if report.attempt != step.before.attempt || report.leaseToken != step.before.lease?.token {
            complain("a report counts that is not the current attempt's")
        }
        if let tokens = report.body.usage?.tokens { seen.tokens[attempt] = max(tokens, seen.tokens[attempt] ?? 0) }
        switch report.body {
        case .progress: break
        case .completed, .failed, .rejected, .escalated:
            if !seen.outcomes.insert(attempt).inserted { complain("an attempt has two outcomes that count") }
        }
    }

    /// A decision follows from the votes that were cast, and nothing else.
    func checkReview(_ id: ReviewID) {
        guard let row = database.reviews[id], case .decided(let decision) = row.session.phase else { return }
        let sent = seen.sentVotes[id] ?? []
        if !row.votes.allSatisfy({ sent.contains($0) }) { complain("a vote counts that nobody cast") }
        if Set(row.votes.map(\.role)).count != row.votes.count { complain("a seat has two votes") }
        if decision.outcome.status != Self.expected(row.votes, row.session.terms) {
            complain("a review is \(decision.outcome.status) against its votes")
        }
        if Tally(row.session.terms, row.votes).ruling(atDeadline: row.wasDue)?.status != decision.outcome.status {
            complain("a review's decision is not what its votes come to")
        }
    }

    /// The rule in its own words: whether the approvals reach the quorum, or could not have without the rejections.
    private static func expected(_ votes: [CastVote], _ terms: ReviewTerms) -> ReviewStatus {
        var (against, approving) = (0.0, 0.0)
        for vote in votes {
            let weight = Double(terms.weight(of: vote.role)?.tenThousandths ?? 0)
            switch vote.choice {
            case .approve: approving += weight
            case .conditional:
                approving += weight / 2
                against += weight / 2
            case .reject: against += weight
            case .abstain: break
            }
        }
        let total = Double(terms.total.tenThousandths)
        let needed = Double(terms.quorum.tenThousandths) / 10_000 * total
        return approving >= needed ? .approved : total - against < needed ? .rejected : .escalated
    }

    /// A closed breaker's window holds what began since it was closed.
    func checkBreaker(_ agent: Int, after epoch: Int64) {
        let core = agents[agent].breaker.core
        if case .halfOpen(let probation) = core.cycle.phase, probation.granted > core.policy.probes {
            complain("a breaker let more probes through than there may be")
        }
        guard core.cycle.isClosed, core.cycle.epoch == epoch else { return }
        if core.window.counts(now: microseconds).calls > agents[agent].ended[epoch] ?? 0 {
            complain("a breaker counts a call from before it was closed")
        }
    }

    /// All is quiet: what was accepted has ended, once, and everything adds up.
    func checkTheEnd() {
        note("all is quiet")
        for client in clients.indices {
            if let told = clients[client].told, database.keys[client] != told {
                complain("a client was told of no task")
            }
            if clients[client].told == nil, !clients[client].isDenied { complain("a client was told nothing") }
        }
        if database.accepted.count != Set(database.keys.values).count { complain("a task was accepted twice") }
        for row in database.rows {
            if !row.record.state.isTerminal { complain("\(row.record.id.short) stays \(row.record.state)") }
            if row.story.filter({ $0.kind.endsTask }).count != 1 { complain("a task did not end once") }
            if row.story.last?.kind.endsTask != true { complain("a task goes on after its end") }
        }
        for id in database.sessions where database.reviews[id]?.session.status == .open {
            complain("review \(id.short) stays open")
        }
        for escalation in database.escalations where escalation.settlements != 1 {
            complain("an escalation was settled \(escalation.settlements) times")
        }
        if database.outbox.contains(where: { !$0.isGone }) { complain("a message stays in the outbox") }
        if let fault = database.money.fault { complain(fault) }
        for case let entry? in database.money.keys.map({ database.money.entries[$0] })
        where entry.reservation.state == .pending { complain("a hold is never settled") }
        for replica in replicas where replica.leads {
            if replica.book.isWaiting || Scenes.roles.contains(where: { replica.book.inFlight(key($0)) != 0 }) {
                complain("a dispatcher's book is not empty")
            }
        }
    }
}
