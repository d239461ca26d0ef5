internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import MessageBus
internal import OrchestratorCore
internal import ServiceLifecycle
internal import Storage

/// Takes tasks on when their peers have decided.
///
/// The message only wakes it up: what was decided is read where the peer hub stored it, so that nobody who can speak on
/// the bus can say that a review was passed. What cannot be written now is taken from there by the recovery.
final class DecisionApplier: Service {
    /// Decisions in one transaction.
    static let batchMax = 64

    private let bus: MessageBus
    private let reviews: TaskReviewStore
    private let changer: TaskChanger

    init(bus: MessageBus, reviews: TaskReviewStore, changer: TaskChanger) {
        self.bus = bus
        self.reviews = reviews
        self.changer = changer
    }

    func run() async throws {
        try await runUntilShutdown {
            try await self.bus.consume(
                .reviewDecisions, as: BusTopology.orchestratorDecisions, batchMax: Self.batchMax
            ) { batch in
                let settlements = batch.map(Self.settlement)
                let named = zip(batch, settlements).filter { $1 == .acknowledge }.map(\.0.message.session)
                try await self.apply(named)
                return settlements
            }
        }
    }

    private static func settlement(_ received: Received<ReviewDecision>) -> Settlement {
        Subject.session(of: received.subject) == received.message.session
            ? .acknowledge
            : .giveUp(reason: "wrong_subject", error: "The subject names another session than the message.")
    }

    /// Applies what was decided in these sessions to the tasks that wait for it.
    func apply(_ sessions: [ReviewID]) async throws {
        let decisions = try await reviews.decisions(Array(Set(sessions)))
        let byTask = Dictionary(grouping: decisions, by: \.task)
        let applied = try await changer.apply(to: Array(byTask.keys)) { task in
            // Of several rounds one is waited for: the others are late, and change nothing.
            (byTask[task.id] ?? []).filter { $0.session.description == task.lease?.token }.map { .reviewDecided($0) }
        }
        let tried = decisions.count { applied.failed[$0.task] == nil }
        let late = tried - applied.changes.count - applied.refused.count - applied.unread.count
        if late > 0 { changer.instruments.decisionsRefused(TaskMachine.Reason.lost.rawValue, late) }
        for (_, reason) in applied.refused { changer.instruments.decisionsRefused(reason.rawValue, 1) }
    }
}
