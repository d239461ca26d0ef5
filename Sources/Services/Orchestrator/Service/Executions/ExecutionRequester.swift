internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import ServiceLifecycle
internal import Storage

/// Asks the sandbox to run the tests of what tasks wait to have run, and to stop what nobody waits for any more.
///
/// The row of a task under test is the outbox of its request: all of it follows from the row and the draft, and nothing
/// is written twice. What this fast path does not get done, `ExecutionRecovery` finds by the execution that nobody has.
/// The execution's name stands in the row, so that however often it is asked for, it is one run.
final class ExecutionRequester: Service {
    /// Decisions waiting here to be followed by a request; beyond that the recovery finds them.
    static let queuedMax = 4096
    /// Tasks whose work is in memory at once, each up to 1 MiB.
    static let batchMax = 16
    /// Batches under way at once.
    static let batchesMax = 8

    /// Work that has nothing to run.
    struct Refused: Sendable {
        let task: TaskID
        let report: ExecutionReport
    }

    private enum Order: Sendable {
        case ask([TaskID])
        case stop([TaskExecution])
    }

    private let bus: MessageBus
    private let store: TaskExecutionStore
    private let executions: SandboxStore
    private let decider: Decider
    private let logger: Logger
    private let queue: AsyncStream<Order>
    private let enqueue: AsyncStream<Order>.Continuation
    /// For the applier; one that is lost is found again by the recovery.
    let refused: AsyncStream<Refused>
    private let refuse: AsyncStream<Refused>.Continuation

    init(bus: MessageBus, stores: Stores, decider: Decider, logger: Logger) {
        self.bus = bus
        store = stores.taskExecutions
        executions = stores.sandbox
        self.decider = decider
        self.logger = logger
        (queue, enqueue) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.queuedMax))
        (refused, refuse) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.queuedMax))
    }

    /// Carries out what was just decided; never waits itself.
    func carryOut(asked tasks: [TaskID], stopped: [TaskExecution]) {
        if !tasks.isEmpty { enqueue.yield(.ask(tasks)) }
        if !stopped.isEmpty { enqueue.yield(.stop(stopped)) }
    }

    func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await order in queue.cancelOnGracefulShutdown() {
                if running == Self.batchesMax { await group.next() } else { running += 1 }
                group.addTask { await self.carryOut(order) }
            }
        }
    }

    private func carryOut(_ order: Order) async {
        do {
            switch order {
            case .ask(let tasks): try await ask(tasks, derivation: nil)
            case .stop(let stopped): for execution in stopped { try await stop(execution) }
            }
        } catch {
            logger.debug("the sandbox is told again", metadata: ["error": "\(error)"])
        }
    }

    /// Asks for the runs that these tasks still wait for and whose time has come; answers how many requests the bus
    /// took.
    ///
    /// - Parameter derivation: set when an earlier request may be lost, so that the duplicate window lets this one
    ///   through.
    @discardableResult
    func ask(_ tasks: [TaskID], derivation: Int?) async throws -> Int {
        var count = 0
        for start in stride(from: 0, to: tasks.count, by: Self.batchMax) {
            let batch = Array(tasks[start..<min(start + Self.batchMax, tasks.count)])
            let waiting = try await store.waiting(batch)
            _ = try await decider.workflows.find(waiting.map(\.task))
            for waiting in waiting where await publish(waiting, derivation) { count += 1 }
        }
        return count
    }

    private func publish(_ waiting: TestedTask, _ derivation: Int?) async -> Bool {
        let task = waiting.task
        let now = decider.clock.now
        guard let lease = task.lease, lease.dispatchedAt <= now, let context = decider.context(task, now: now) else {
            return false
        }
        do {
            guard
                let request = try ExecutionPlan.request(
                    of: task, artifact: waiting.artifact, workflow: context.workflow)
            else { return false }
            _ = try await bus.publish(
                request, on: .sandboxExecute,
                id: "\(request.execution).request" + (derivation.map { ".r\($0)" } ?? ""),
                traceparent: task.trace, tenant: task.tenant
            )
            return true
        } catch let unrunnable as ExecutionPlan.Unrunnable {
            guard let execution = ExecutionID(lease.token) else { return false }
            let outcome = SandboxOutcome.failed(SandboxOutcome.Failure.invalidRequest, unrunnable.message)
            let report = ExecutionReport(execution: execution, outcome: outcome, artifact: waiting.artifact)
            refuse.yield(Refused(task: task.id, report: report))
            return false
        } catch {
            logger.debug(
                "a run is asked for again",
                metadata: [
                    "task_id": "\(task.id)", "error": "\(error)",
                    "trace_id": "\(TraceContext.id(of: task.traceparent))",
                ])
            return false
        }
    }

    /// One that the sandbox has not taken on yet is stopped by the recovery when it has.
    func stop(_ execution: TaskExecution) async throws {
        guard let known = try await executions.cancel(execution.id, tenant: execution.tenant), known.state == .running
        else { return }
        try bus.send(SandboxControl(.cancel, execution.id), on: .sandboxControl)
    }
}
