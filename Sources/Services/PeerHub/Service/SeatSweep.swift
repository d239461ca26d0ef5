internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import PeerHubCore
internal import ServiceLifecycle
internal import Storage

/// Offers seats again that nobody has voted for and nobody seems to work for: `OfferRules` says when.
///
/// Each replica looks; the session's row says who offers. Whoever dies between the two leaves the seat to a later look.
final class SeatSweep: Service {
    static let interval: Duration = .seconds(5)
    /// Sessions looked at in one query, and queries in one look; the next look goes on behind them.
    static let pageMax = 200
    static let pagesMax = 5

    private let bus: MessageBus
    private let store: ReviewStore
    private let handout: WorkHandout
    private let instruments: HubInstruments
    private let logger: Logger

    init(bus: MessageBus, store: ReviewStore, handout: WorkHandout, instruments: HubInstruments, logger: Logger) {
        self.bus = bus
        self.store = store
        self.handout = handout
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            var last: ReviewID?
            while true {
                do { last = try await self.look(after: last) } catch {
                    try Task.checkCancellation()
                    self.logger.warning(
                        "the look at empty seats failed; it is repeated", metadata: ["error": "\(error)"])
                }
                try await Task.sleep(for: Self.interval, tolerance: .milliseconds(500))
            }
        }
    }

    /// Answers the last session looked at; nil when all were.
    private func look(after last: ReviewID?) async throws -> ReviewID? {
        var last = last
        var idle: [AgentRole: Bool] = [:]
        for _ in 0..<Self.pagesMax {
            let quiet = try await store.quiet(
                forSeconds: OfferRules.quietSeconds, after: last, limit: Self.pageMax)
            for session in quiet { try await offer(session, &idle) }
            last = quiet.last?.session.id
            if quiet.count < Self.pageMax { return nil }
        }
        return last
    }

    private func offer(_ quiet: QuietReview, _ idle: inout [AgentRole: Bool]) async throws {
        let session = quiet.session
        let term = session.deadline.timeIntervalSince(session.openedAt)
        var due: [(role: AgentRole, attempt: Int)] = []
        for seat in session.terms.seats where !quiet.voted.contains(seat.role) {
            let isIdle = try await isIdle(seat.role, &idle)
            let wait = OfferRules.wait(offers: quiet.offers, isIdle: isIdle, termSeconds: term)
            guard quiet.ageSeconds >= wait else { continue }
            let attempt = OfferRules.attempt(
                offers: quiet.offers, isIdle: isIdle, attemptsMax: ReviewSession.Assignment.attemptsMax)
            due.append((seat.role, attempt))
        }
        guard !due.isEmpty, try await store.claimOffer(session.id, offers: quiet.offers) else { return }
        for (role, attempt) in due {
            do {
                let isOffered = try await handout.again(
                    session, role, attempt: attempt, notFor: nil, offer: quiet.offers + 1)
                if isOffered { instruments.seatOfferedAgain() }
            } catch {
                try Task.checkCancellation()
                logger.warning(
                    "a seat's work could not be handed out again; it is tried again",
                    metadata: [
                        "session_id": "\(session.id)", "trace_id": "\(TraceContext.id(of: session.traceparent))",
                        "role": "\(role)", "error": "\(error)",
                    ])
            }
        }
    }

    /// True when no vote waits to be counted, and no work of the role waits or is in anybody's hands.
    private func isIdle(_ role: AgentRole, _ known: inout [AgentRole: Bool]) async throws -> Bool {
        if let known = known[role] { return known }
        var isIdle = false
        // The work first: a vote is stored before its work is acknowledged.
        if let work = try await bus.consumerState(role), work.pending + work.ackPending == 0 {
            let votes = try await bus.backlog(of: BusTopology.hubResponses)
            isIdle = votes.map { $0.pending + $0.ackPending == 0 } ?? false
        }
        known[role] = isIdle
        return isIdle
    }
}
