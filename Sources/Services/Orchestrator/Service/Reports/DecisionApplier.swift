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
/// the bus can say that a review was passed.
final class DecisionApplier: Service {
    /// Decisions in one transaction.
    static let batchMax = 64

    private let bus: MessageBus
    private let reviews: TaskReviewStore
    private let tasks: TaskStore
    private let decider: Decider
    private let dispatcher: Dispatcher
    private let instruments: Instruments

    init(
        bus: MessageBus, reviews: TaskReviewStore, tasks: TaskStore, decider: Decider, dispatcher: Dispatcher,
        instruments: Instruments
    ) {
        self.bus = bus
        self.reviews = reviews
        self.tasks = tasks
        self.decider = decider
        self.dispatcher = dispatcher
        self.instruments = instruments
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
        let unread = try await apply(decisions)
        guard !unread.isEmpty else { return }
        try await decider.workflows.meet(unread.map(\.task))
        _ = try await apply(unread)
    }

    /// Answers those about tasks whose workflows this replica has not met yet.
    private func apply(_ decisions: [ReviewDecision]) async throws -> [ReviewDecision] {
        guard !decisions.isEmpty else { return [] }
        let now = decider.clock.now
        let byTask = Dictionary(grouping: decisions, by: \.task)
        let (outcome, refused) = try await tasks.change(Array(byTask.keys)) { [decider] locked in
            var outcome = Outcome()
            var refused: [TaskMachine.Reason: Int] = [:]
            for task in locked {
                // Of several rounds one is waited for: the others are late, and change nothing.
                for decision in byTask[task.id] ?? [] where decision.session.description == task.lease?.token {
                    let reason = decider.apply(.reviewDecided(decision), to: task, now: now, into: &outcome)
                    if let reason { refused[reason, default: 0] += 1 }
                }
            }
            return (outcome.changes, (outcome, refused))
        }
        dispatcher.carryOut(outcome)
        instruments.count(outcome.events, of: outcome.changes)
        let late = decisions.count - outcome.changes.count - refused.values.reduce(0, +)
        if late > 0 { instruments.decisionsRefused(TaskMachine.Reason.lost.rawValue, late) }
        for (reason, count) in refused where outcome.unread.isEmpty {
            instruments.decisionsRefused(reason.rawValue, count)
        }
        let unread = Set(outcome.unread.map(\.id))
        return decisions.filter { unread.contains($0.task) }
    }
}
