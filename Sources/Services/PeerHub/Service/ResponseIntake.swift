internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage

/// Counts the votes that reviewers report, in batches: one transaction for all that arrived while the last one ran.
///
/// Who votes is told by the work item's token, not by what the report says of itself. Any replica takes any vote. What
/// is no vote costs a place in a batch and nothing else: no dead letter, no line of its own in the log. A seat whose
/// holder gave no vote, or may not vote, is offered to others.
final class ResponseIntake: Service {
    /// Reports in one transaction.
    static let batchMax = 256
    /// For an agent whose first announcement has not been stored yet: how long, how often, and how many of a batch, so
    /// that names nobody knows do not fill the room for messages in hand.
    static let unknownAgentDelay: Duration = .seconds(5)
    static let unknownAgentTries = 3
    static let unknownAgentsMax = 16

    private let bus: MessageBus
    private let store: ReviewStore
    private let decisions: DecisionPublisher
    private let vacancies: SeatVacancies
    private let instruments: HubInstruments
    private let logger: Logger

    init(
        bus: MessageBus, store: ReviewStore, decisions: DecisionPublisher, vacancies: SeatVacancies,
        instruments: HubInstruments, logger: Logger
    ) {
        self.bus = bus
        self.store = store
        self.decisions = decisions
        self.vacancies = vacancies
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(.reviewResponses, as: BusTopology.hubResponses, batchMax: Self.batchMax) {
                try await self.count($0)
            }
        }
    }

    private func count(_ batch: [Received<AgentReport>]) async throws -> [Settlement] {
        let agents = try await store.agents(Set(batch.map(\.message.agent.text)))
        let readings = batch.map { read($0, agents) }
        let ballots = readings.compactMap { $0 }
        var outcomes = zip(ballots, try await store.count(ballots)).makeIterator()
        var settlements = [Settlement](repeating: .acknowledge, count: batch.count)
        var tally = RefusalTally()
        var vacated: [(index: Int, vacancy: SeatVacancies.Vacancy)] = []
        var unknownAgents = 0
        for (index, received) in batch.enumerated() where readings[index] != nil {
            guard let (ballot, outcome) = outcomes.next() else { break }
            if case .refused(.unknownAgent, _) = outcome, received.deliveryCount < Self.unknownAgentTries,
                unknownAgents < Self.unknownAgentsMax
            {
                unknownAgents += 1
                settlements[index] = .retry(after: Self.unknownAgentDelay, error: "The agent never announced itself.")
                continue
            }
            note(ballot, outcome, in: &tally)
            let vacancy = SeatVacancies.Vacancy(
                ballot, outcome, of: received.message.body, reportedAt: received.storedAt)
            if let vacancy { vacated.append((index, vacancy)) }
        }
        tally.log(to: logger)
        for (index, settlement) in await vacancies.fill(vacated) { settlements[index] = settlement }
        return settlements
    }

    /// Nil: there is nothing to count.
    private func read(_ received: Received<AgentReport>, _ agents: [String: KnownAgent]) -> Ballot? {
        let report = received.message
        guard let session = Subject.session(of: received.subject) else { return nil }
        var vote: VoteBody?
        switch report.body {
        case .progress: return nil
        case .failed, .rejected, .escalated: break
        case .completed(let output, _):
            do throws(JSONError) {
                var body = try JSONReader(output, path: "output")
                vote = try VoteBody(from: &body)
            } catch {
                instruments.unreadableVote()
                logger.debug(
                    "an answer is no vote",
                    metadata: [
                        "session_id": "\(session)", "error": "\(error)",
                        "trace_id": "\(TraceContext.id(of: received.traceparent))",
                    ])
            }
        }
        let agent = agents[report.agent.text]
        return Ballot(
            session: session, role: nil, reviewer: report.agent.text, owner: agent?.owner,
            announced: agent.map { Set($0.roles) }, body: vote,
            proof: .lease(work: report.task, attempt: report.attempt, token: report.leaseToken),
            messageID: received.messageID.flatMap(Self.printable), usageTokens: report.body.usage?.tokens ?? 0
        )
    }

    /// A message's id is kept for people to find it by; whatever else a sender puts there is not.
    private static func printable(_ id: String) -> String? {
        id.utf8.count <= 200 && id.utf8.allSatisfy { (0x21..<0x7F).contains($0) } ? id : nil
    }

    private func note(_ ballot: Ballot, _ outcome: BallotOutcome, in tally: inout RefusalTally) {
        instruments.voted(outcome)
        switch outcome {
        case .counted(let session):
            if session.status != .open { decisions.announce(session) }
        case .repeated: break
        case .refused(let refusal, _): tally.add(ballot, refusal.rawValue)
        case .unknown: tally.add(ballot, "unknown_session")
        }
    }
}

/// What does not count in one batch: a line in the log for each agent and reason, however many there are of it.
private struct RefusalTally {
    static let linesMax = 20

    private struct Key: Hashable {
        let agent: String
        let reason: String
    }

    private var counts: [Key: (count: Int, session: ReviewID)] = [:]

    mutating func add(_ ballot: Ballot, _ reason: String) {
        counts[Key(agent: ballot.reviewer, reason: reason), default: (0, ballot.session)].count += 1
    }

    func log(to logger: Logger) {
        for (key, entry) in counts.sorted(by: { $0.value.count > $1.value.count }).prefix(Self.linesMax) {
            logger.notice(
                "votes do not count",
                metadata: [
                    "agent": "\(key.agent)", "reason": "\(key.reason)", "count": "\(entry.count)",
                    "session_id": "\(entry.session)",
                ]
            )
        }
    }
}
