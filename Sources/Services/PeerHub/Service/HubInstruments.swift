internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Storage

/// What the hub counts, by the names that dashboards and alerts use.
struct HubInstruments: Sendable {
    private let consensus: HistogramFamily
    private let opened: Counter
    private let canceled: Counter
    private let votes: CounterFamily
    private let offeredAgain: Counter

    init(_ registry: MetricsRegistry) {
        consensus = registry.histogram(
            "peer_review_consensus_time", "Seconds from a session's opening to its decision, by decision.",
            labels: ["decision"]
        )
        opened = registry.counter("peer_review_sessions_opened_total", "Sessions opened by this replica.")[]
        canceled =
            registry.counter(
                "peer_review_sessions_canceled_total", "Sessions closed by this replica, since nobody waits.")[]
        votes = registry.counter(
            "peer_review_votes_total",
            "Votes by what became of them: counted, repeated, unknown, unreadable, or why they were refused.",
            labels: ["outcome"]
        )
        offeredAgain =
            registry.counter(
                "peer_review_seats_offered_again_total", "Seats whose work was handed to other agents once more.")[]
    }

    func sessionOpened() { opened.add() }

    func sessionCanceled() { canceled.add() }

    func decided(_ session: ReviewSession) {
        guard case .decided(let decision) = session.phase else { return }
        consensus[session.status.rawValue].observe(decision.at.timeIntervalSince(session.openedAt))
    }

    func voted(_ outcome: BallotOutcome) {
        switch outcome {
        case .counted: votes["counted"].add()
        case .repeated: votes["repeated"].add()
        case .refused(let refusal, _): votes[refusal.rawValue].add()
        case .unknown: votes["unknown"].add()
        }
    }

    func seatOfferedAgain() { offeredAgain.add() }

    func unreadableVote() { votes["unreadable"].add() }
}
