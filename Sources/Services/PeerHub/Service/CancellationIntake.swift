internal import Bootstrap
internal import Contracts
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage

/// Closes sessions that nobody waits for any more, and tells whoever holds their work to stop.
///
/// A session that is not open, or not there yet, is left alone: whoever asked looks again, and asks again.
final class CancellationIntake: Service {
    /// Sessions closed in one transaction.
    static let batchMax = 64

    private let bus: MessageBus
    private let store: ReviewStore
    private let instruments: HubInstruments
    private let logger: Logger

    init(bus: MessageBus, store: ReviewStore, instruments: HubInstruments, logger: Logger) {
        self.bus = bus
        self.store = store
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(.reviewCancels, as: BusTopology.hubCancels, batchMax: Self.batchMax) {
                try await self.close($0)
            }
        }
    }

    private func close(_ batch: [Received<ReviewCancellation>]) async throws -> [Settlement] {
        let settlements = batch.map { received -> Settlement in
            Subject.session(of: received.subject) == received.message.session
                ? .acknowledge
                : .giveUp(reason: "wrong_subject", error: "The subject names another session than the message.")
        }
        let named = zip(batch, settlements).filter { $1 == .acknowledge }.map(\.0.message)
        let reasons = Dictionary(named.map { ($0.session, $0.reason) }) { first, _ in first }
        for session in try await store.cancel(Array(reasons.keys)) {
            instruments.sessionCanceled()
            let reason = reasons[session.id] ?? ""
            logger.info(
                "closed a review",
                metadata: [
                    "session_id": "\(session.id)", "reason": "\(reason)",
                    "trace_id": "\(TraceContext.id(of: session.traceparent))",
                ])
            for assignment in session.assignments.values { stop(assignment.work, reason) }
        }
        return settlements
    }

    /// A notice that is lost costs a vote that is late.
    private func stop(_ work: TaskID, _ reason: String) {
        do {
            let attempt = ReviewSession.Assignment.attemptsMax
            try bus.send(CancelNotice(task: work, attempt: attempt, reason: reason), on: .cancel(work))
        } catch {
            logger.debug("a cancel notice was not sent", metadata: ["error": "\(error)"])
        }
    }
}
