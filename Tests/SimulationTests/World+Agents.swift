import Contracts
import Foundation

@testable import Coordination

/// A process of agents, with its own breaker around the one dependency that all of them call.
struct Agent {
    static let policy = BreakerPolicy(
        callsMin: 1, openWait: .seconds(5), openWaitMax: .seconds(20), probes: 2, probeLease: .seconds(15))
    static let terms = FleetRecord.Terms(cycle: BreakerTerms(policy, unit: 1000), replicas: 2)

    /// Counts its lives.
    var life = 0
    var breaker = LocalBreaker(policy)
    /// Calls that ended in the epoch they began in, by epoch.
    var ended: [Int64: Int64] = [:]
}

/// One agent at work on one delivery of a work item.
struct Run {
    let item: WorkItem
    let letter: Int
    let agent: Int
    let life: Int
    let pass: LocalBreaker.Pass
    var body: AgentReport.Body?
    var toldProgress = false
    var isStopped = false
    var isDone = false
}

/// Agents: slow, mortal, sometimes two at one attempt, and not always of one mind.
extension World {
    var microseconds: Int64 { Int64(clock * 1_000_000) + 1_000_000 }
    var milliseconds: Int64 { microseconds / 1000 }

    func takeWork(_ item: WorkItem, _ letter: Int) -> Settlement {
        let agent = dice.roll(agents.count)
        let pass: LocalBreaker.Pass
        switch askBreaker(agent) {
        case .pass(let given): pass = given
        // The work is parked until asking again makes sense.
        case .refuse(let retry): return .handBack(after: min(max(Double(retry) / 1_000_000, 0.5), 10))
        case .askFleet: return .handBack(after: 0.5)
        }
        runs.append(Run(item: item, letter: letter, agent: agent, life: agents[agent].life, pass: pass))
        plan(.callEnds(runs.count - 1), after: misfortune(6) ? dice.between(10, 50) : dice.between(0.1, 3))
        // Its heartbeats do not arrive, so that somebody else gets the same attempt.
        if misfortune(15) { plan(.deliver(letter), after: 30) }
        return .hold
    }

    func endCall(_ run: Int) {
        guard runs[run].life == agents[runs[run].agent].life else { return }
        let isDown = !isCalm && outage.contains(clock)
        finishCall(runs[run].pass, isDown ? .failure : .success, agent: runs[run].agent)
        if misfortune(15) { return die(runs[run].agent) }
        runs[run].body = isDown ? Self.failure("dependency_unavailable", true) : body()
        plan(.speak(run), after: misfortune(8) ? dice.between(20, 60) : dice.between(0.1, 5))
    }

    /// Says what came of the work; only then lets go of it.
    func speak(_ run: Int) {
        let work = runs[run]
        guard work.life == agents[work.agent].life, !work.isDone, var body = work.body else { return }
        if work.isStopped { body = Self.failure("canceled", true) }
        if !work.toldProgress, !isCalm, dice.chance(4) {
            runs[run].toldProgress = true
            report(work, .progress(number: 1, message: "half", data: nil, usage: .init(tokens: 1 + dice.roll(9))), 1)
            return plan(.speak(run), after: dice.between(0.1, 4))
        }
        guard report(work, body, 0) else { return plan(.speak(run), after: 2) }
        if misfortune(12) { return die(work.agent) }
        if misfortune(12) {
            derivations += 1
            report(work, body, derivations + 1)
        }
        runs[run].isDone = true
        settle(work.letter)
    }

    @discardableResult
    private func report(_ work: Run, _ body: AgentReport.Body, _ number: Int) -> Bool {
        let said = AgentReport(
            task: work.item.task, attempt: work.item.attempt, leaseToken: work.item.leaseToken,
            agent: Scenes.agents[work.agent], body: body)
        return publish(
            MessageID(kind: "report", about: work.item.task.uuid, number: work.item.attempt, derivation: number),
            .report(said))
    }

    func stop(_ task: TaskID, attempt: Int) {
        for index in runs.indices where runs[index].item.task == task && runs[index].item.attempt == attempt {
            runs[index].isStopped = true
        }
    }

    private func body() -> AgentReport.Body {
        let usage = AgentReport.Usage(tokens: 1 + dice.roll(30))
        if isCalm { return .completed(output: Scenes.tested, usage: usage) }
        switch dice.roll(12) {
        case 0, 1: return Self.failure("busy", true)
        case 2: return Self.failure("impossible", false)
        case 3: return .rejected(reason: "no", usage: usage)
        case 4, 5: return .completed(output: .emptyObject, usage: usage)
        default: return .completed(output: Scenes.tested, usage: usage)
        }
    }

    private static func failure(_ code: String, _ isRetryable: Bool) -> AgentReport.Body {
        .failed(.init(code: code, message: "it failed", isRetryable: isRetryable))
    }

    /// What it was at is delivered again, to whoever is there.
    private func die(_ agent: Int) {
        note("agent \(agent) dies")
        for run in runs where run.agent == agent && run.life == agents[agent].life && !run.isDone {
            plan(.deliver(run.letter), after: 30)
        }
        agents[agent] = Agent(life: agents[agent].life + 1)
    }

    // MARK: The breaker

    private func tell(_ event: FleetRecord.Event, agent: Int) -> FleetRecord.Answer {
        let answer = fleet.apply(event, now: milliseconds, terms: Agent.terms)
        agents[agent].breaker.learn(fleet, fleetNow: milliseconds, askedAt: microseconds, now: microseconds)
        if case .halfOpen(let probation) = fleet.cycle.phase, probation.granted > Agent.policy.probes {
            complain("the fleet let more probes through than there may be")
        }
        return answer
    }

    /// Redis may be away, and then the replica decides alone.
    private func askBreaker(_ agent: Int) -> LocalBreaker.Verdict {
        if misfortune(10) { agents[agent].breaker.isShared = false }
        let verdict = agents[agent].breaker.ask(now: microseconds, share: 2)
        guard verdict == .askFleet else { return verdict }
        derivations += 1
        let lease = "\(derivations)"
        let answer = tell(.acquire(lease: lease), agent: agent)
        agents[agent].breaker.fleetAnswered(isRefused: answer == .refused, now: microseconds)
        if answer == .granted { return .pass(.probe(lease: lease)) }
        let again = agents[agent].breaker.ask(now: microseconds, share: 2)
        if again == .askFleet { agents[agent].breaker.fleetAnswered(isRefused: true, now: microseconds) }
        return again
    }

    private func finishCall(_ pass: LocalBreaker.Pass, _ outcome: BreakerOutcome, agent: Int) {
        switch pass {
        case .uncounted: break
        case .probe(let lease): _ = tell(.finish(lease: lease, outcome), agent: agent)
        case .counted(let ticket):
            let epoch = agents[agent].breaker.core.cycle.epoch
            if ticket.epoch == epoch { agents[agent].ended[epoch, default: 0] += 1 }
            let seen = plant == .lateCall ? BreakerCore.Ticket(epoch: epoch, probe: ticket.probe) : ticket
            agents[agent].breaker.finish(seen, outcome, now: microseconds, share: 2)
            checkBreaker(agent, after: epoch)
            if !misfortune(8) {
                _ = tell(agents[agent].breaker.report(replica: "\(agent)", now: microseconds), agent: agent)
            }
        }
    }
}
