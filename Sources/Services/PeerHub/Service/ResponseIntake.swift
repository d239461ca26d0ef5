internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage

/// Counts the votes that reviewers report, in batches: one transaction for all that arrived while the last one ran.
///
/// Who votes is told by the work item's token, not by what the report says of itself. Any replica takes any vote.
final class ResponseIntake: Service {
    /// Reports in one transaction.
    static let batchMax = 256
    /// For an agent whose first announcement has not been stored yet.
    static let unknownAgentDelay: Duration = .seconds(5)

    private let bus: MessageBus
    private let store: ReviewStore
    private let decisions: DecisionPublisher
    private let instruments: HubInstruments
    private let logger: Logger

    init(
        bus: MessageBus, store: ReviewStore, decisions: DecisionPublisher, instruments: HubInstruments, logger: Logger
    ) {
        self.bus = bus
        self.store = store
        self.decisions = decisions
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

    private enum Reading {
        case settled(Settlement)
        case ballot(Ballot)
    }

    private func count(_ batch: [Received<AgentReport>]) async throws -> [Settlement] {
        let owners = try await store.agents(Set(batch.map(\.message.agent.text))).mapValues(\.owner)
        let readings = batch.map { read($0, owners) }
        let ballots = readings.compactMap { if case .ballot(let ballot) = $0 { ballot } else { nil } }
        let outcomes = try await store.count(ballots)
        for (ballot, outcome) in zip(ballots, outcomes) { note(ballot, outcome) }
        var counted = outcomes.makeIterator()
        return readings.map { reading in
            switch reading {
            case .settled(let settlement): return settlement
            case .ballot:
                guard case .unknown = counted.next() else { return .acknowledge }
                return .giveUp(reason: "unknown_session", error: "There is no such review session.")
            }
        }
    }

    private func read(_ received: Received<AgentReport>, _ owners: [String: String]) -> Reading {
        let report = received.message
        guard let session = Subject.session(of: received.subject) else {
            return .settled(.giveUp(reason: "wrong_subject", error: "The subject names no review session."))
        }
        let metadata: Logger.Metadata = ["session_id": "\(session)", "agent": "\(report.agent)"]
        switch report.body {
        case .progress: return .settled(.acknowledge)
        case .failed, .rejected:
            logger.warning("a reviewer gave no vote", metadata: metadata)
            return .settled(.acknowledge)
        case .completed(let output, _):
            guard let owner = owners[report.agent.text] else {
                return .settled(
                    .retry(
                        after: Self.unknownAgentDelay, error: "Agent \(report.agent) has never announced itself."))
            }
            do throws(JSONError) {
                var body = try JSONReader(output, path: "output")
                let ballot = Ballot(
                    session: session, role: nil, reviewer: report.agent.text, owner: owner,
                    body: try VoteBody(from: &body), proof: .lease(work: report.task, token: report.leaseToken),
                    messageID: received.messageID.flatMap { $0.utf8.count <= 200 ? $0 : nil }
                )
                return .ballot(ballot)
            } catch {
                instruments.unreadableVote()
                logger.warning(
                    "a reviewer's answer is no vote", metadata: metadata.merging(["error": "\(error)"]) { $1 })
                return .settled(.giveUp(reason: "unreadable_vote", error: "\(error)"))
            }
        }
    }

    private func note(_ ballot: Ballot, _ outcome: BallotOutcome) {
        instruments.voted(outcome)
        switch outcome {
        case .counted(let session):
            if session.status != .open { decisions.announce(session) }
        case .refused(let refusal, _):
            logger.notice(
                "a vote does not count",
                metadata: [
                    "session_id": "\(ballot.session)", "agent": "\(ballot.reviewer)", "reason": "\(refusal.rawValue)",
                ]
            )
        case .repeated, .unknown: break
        }
    }
}
