internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import Storage
internal import Synchronization

/// Offers a seat to other agents when whoever held its work gave no vote or may not vote: at once the first time, then
/// with growing waits, eight attempts in all. A seat for which too little is left of the task's budget would be left
/// again at once: that one waits until its time makes it be offered.
///
/// The report that leaves the seat empty is acknowledged only when the next attempt is on its way, so that a hub killed
/// in between changes nothing.
final class SeatVacancies: Sendable {
    struct Vacancy: Sendable, Hashable {
        let session: ReviewSession
        let role: AgentRole
        let attempt: Int
        /// Who may not have it again; nil when another try of theirs could end better.
        let agent: String?
        let reportedAt: Date

        /// What a model's reviewer says when all that is left of the budget pays for no vote.
        private static let budgetTooSmall = "budget_too_small"

        /// Nil unless the outcome of the report leaves the seat of the ballot's work empty for another.
        init?(_ ballot: Ballot, _ outcome: BallotOutcome, of report: AgentReport.Body, reportedAt: Date) {
            if case .failed(let failure) = report, failure.code == Self.budgetTooSmall { return nil }
            guard case .refused(let refusal, let session) = outcome, refusal.leavesSeatEmpty,
                case .lease(let work, let attempt, _) = ballot.proof,
                let role = session.assignments.first(where: { $0.value.work == work })?.key
            else { return nil }
            self.session = session
            self.role = role
            self.attempt = attempt
            agent = refusal == .noVote ? nil : ballot.reviewer
            self.reportedAt = reportedAt
        }

        /// Before the next attempt, counted from the report: 0, 1, 2, 4, … seconds.
        var wait: TimeInterval { attempt == 1 ? 0 : TimeInterval(1 << min(attempt - 2, 5)) }

        private var lease: String { session.assignments[role].map { "\($0.work).\(attempt)" } ?? "" }

        static func == (left: Self, right: Self) -> Bool { left.lease == right.lease }

        func hash(into hasher: inout Hasher) { hasher.combine(lease) }
    }

    /// After a try that failed.
    static let retryDelay: Duration = .seconds(2)
    /// Seats offered at once; each needs its artifact.
    static let atOnceMax = 16
    /// Attempts remembered as dealt with, so that a report that is repeated without end asks for nothing.
    static let rememberedMax = 4096

    private let handout: WorkHandout
    private let instruments: HubInstruments
    private let logger: Logger
    private let filled = Mutex<Set<Vacancy>>([])

    init(handout: WorkHandout, instruments: HubInstruments, logger: Logger) {
        self.handout = handout
        self.instruments = instruments
        self.logger = logger
    }

    /// How the reports that left seats empty are settled.
    func fill(_ vacated: [(index: Int, vacancy: Vacancy)]) async -> [(index: Int, settlement: Settlement)] {
        let now = Date()
        var settlements: [(index: Int, settlement: Settlement)] = []
        var due: [Vacancy: [Int]] = [:]
        for (index, vacancy) in vacated
        where vacancy.attempt < ReviewSession.Assignment.attemptsMax && !isFilled(vacancy) {
            let wait = vacancy.reportedAt.addingTimeInterval(vacancy.wait).timeIntervalSince(now)
            if wait > 0, due[vacancy] == nil {
                settlements.append((index, .retry(after: .seconds(wait), error: "The seat is offered again later.")))
                // Of several reports about one lease the first waits for all.
                due[vacancy] = []
            } else if wait <= 0 {
                due[vacancy, default: []].append(index)
            }
        }
        let chunks = due.filter { !$0.value.isEmpty }.map { ($0.key, $0.value[0]) }
        for start in stride(from: 0, to: chunks.count, by: Self.atOnceMax) {
            await withTaskGroup(of: (Int, Settlement)?.self) { group in
                for (vacancy, index) in chunks[start..<min(start + Self.atOnceMax, chunks.count)] {
                    group.addTask { await self.fill(vacancy).map { (index, $0) } }
                }
                for await case .some(let settled) in group { settlements.append(settled) }
            }
        }
        return settlements
    }

    /// Nil when the next attempt is on its way, or there is nothing to hand out.
    private func fill(_ vacancy: Vacancy) async -> Settlement? {
        do {
            let isOffered = try await handout.again(
                vacancy.session, vacancy.role, attempt: vacancy.attempt + 1, notFor: vacancy.agent)
            remember(vacancy)
            if isOffered { instruments.seatOfferedAgain() }
            return nil
        } catch {
            logger.warning(
                "a seat's work could not be handed out again; it is tried again",
                metadata: [
                    "session_id": "\(vacancy.session.id)",
                    "trace_id": "\(TraceContext.id(of: vacancy.session.traceparent))", "error": "\(error)",
                ])
            return .retry(after: Self.retryDelay, error: "\(error)")
        }
    }

    private func isFilled(_ vacancy: Vacancy) -> Bool { filled.withLock { $0.contains(vacancy) } }

    private func remember(_ vacancy: Vacancy) {
        filled.withLock { filled in
            if filled.count >= Self.rememberedMax { filled.removeAll() }
            filled.insert(vacancy)
        }
    }
}
