internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import ServiceLifecycle
internal import Storage

/// Asks the peer hub to review what tasks wait to have reviewed.
///
/// The row of a task under review is the outbox of its request: all of the request follows from it, artifact included,
/// and nothing is written twice. What this fast path does not get done, `ReviewRecovery` finds by the session that
/// nobody opened. The session's name stands in the row, so that however often it is asked for, it is one session.
final class ReviewRequester: Service {
    /// Decisions waiting here to be followed by a request; beyond that the recovery finds them.
    static let queuedMax = 4096
    /// Tasks whose work is in memory at once, each up to 1 MiB.
    static let batchMax = 16
    /// Tasks' names read at once.
    static let pageMax = 500
    /// Batches under way at once.
    static let batchesMax = 8
    /// How often what the bus does not take is tried again, a second apart, before the whole is begun anew.
    static let triesMax = 30
    /// An agent that nobody has heard of by then, though all announce themselves every five seconds, belongs to itself.
    static let ownerGrace: TimeInterval = 10

    private let bus: MessageBus
    private let store: TaskReviewStore
    private let agents: AgentDirectory
    private let decider: Decider
    private let logger: Logger
    private let queue: AsyncStream<[TaskID]>
    private let enqueue: AsyncStream<[TaskID]>.Continuation

    init(bus: MessageBus, store: TaskReviewStore, agents: AgentDirectory, decider: Decider, logger: Logger) {
        self.bus = bus
        self.store = store
        self.agents = agents
        self.decider = decider
        self.logger = logger
        (queue, enqueue) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.queuedMax))
    }

    /// Asks for the reviews of tasks that have just begun to wait; never waits itself.
    func request(_ tasks: [TaskID]) {
        if !tasks.isEmpty { enqueue.yield(tasks) }
    }

    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await tasks in queue.cancelOnGracefulShutdown() {
                if running == Self.batchesMax { await group.next() } else { running += 1 }
                group.addTask {
                    do { try await self.ask(tasks, derivation: nil) } catch {
                        self.logger.debug("reviews are asked for again", metadata: ["error": "\(error)"])
                    }
                }
            }
        }
    }

    /// What became of requests.
    struct Asked: Sendable {
        /// The bus took so many.
        var count = 0
        /// Still to be asked for: the bus did not take it, or it is not known yet whose the work is.
        var unasked: [TaskID] = []
    }

    /// Asks for the reviews that these tasks still wait for.
    ///
    /// - Parameter derivation: set when an earlier request may be lost, so that the duplicate window lets this one
    ///   through and the hub hands work out anew.
    @discardableResult
    func ask(_ tasks: [TaskID], derivation: Int?) async throws -> Asked {
        var asked = Asked()
        for start in stride(from: 0, to: tasks.count, by: Self.batchMax) {
            let batch = Array(tasks[start..<min(start + Self.batchMax, tasks.count)])
            let waiting = try await store.waiting(batch)
            _ = try await decider.workflows.find(waiting.map(\.task))
            await withTaskGroup(of: TaskID?.self) { group in
                for waiting in waiting {
                    group.addTask { await self.publish(waiting, derivation) ? nil : waiting.task.id }
                }
                for await unasked in group {
                    if let unasked { asked.unasked.append(unasked) } else { asked.count += 1 }
                }
            }
        }
        return asked
    }

    /// Asks for every review that is not decided, since messages of them may be lost; answers how many requests the bus
    /// took. Throws when it did not take all, so that whoever noticed the loss comes back to it.
    func askForAll() async throws -> Int {
        let derivation = Int(Date().timeIntervalSince1970)
        var count = 0
        var unasked: [TaskID] = []
        var last: TaskID?
        while true {
            let undecided = try await store.undecided(after: last, limit: Self.pageMax)
            let asked = try await ask(undecided, derivation: derivation)
            count += asked.count
            unasked += asked.unasked
            last = undecided.last
            if undecided.count < Self.pageMax { break }
        }
        for _ in 0..<Self.triesMax where !unasked.isEmpty {
            try await Task.sleep(for: .seconds(1))
            let asked = try await ask(unasked, derivation: derivation)
            count += asked.count
            unasked = asked.unasked
        }
        guard unasked.isEmpty else {
            throw BusError(.unavailable, "\(unasked.count) reviews could not be asked for again; they are tried again.")
        }
        return count
    }

    private func publish(_ waiting: ReviewedTask, _ derivation: Int?) async -> Bool {
        let now = decider.clock.now
        guard let context = decider.context(waiting.task, now: now), let owner = owner(of: waiting, at: now),
            let request = TaskMachine.reviewRequest(
                of: waiting.task, artifact: waiting.artifact, owner: owner, workflow: context.workflow)
        else { return false }
        do {
            _ = try await bus.publish(
                request, on: .reviewRequest(request.session),
                id: request.messageID + (derivation.map { ".r\($0)" } ?? ""), traceparent: waiting.task.trace,
                tenant: request.tenant
            )
            return true
        } catch {
            logger.debug(
                "a review is asked for again",
                metadata: [
                    "task_id": "\(waiting.task.id)", "error": "\(error)",
                    "trace_id": "\(TraceContext.id(of: waiting.task.traceparent))",
                ])
            return false
        }
    }

    /// What agents say right now goes before what was stored. Nil: wait until it is known.
    private func owner(of waiting: ReviewedTask, at now: Date) -> String? {
        guard let author = waiting.task.author?.agent else { return nil }
        if let owner = agents.owner(of: author) ?? waiting.owner { return owner }
        guard let lease = waiting.task.lease, now.timeIntervalSince(lease.dispatchedAt) > Self.ownerGrace else {
            return nil
        }
        return author.text
    }
}
