internal import Bootstrap
internal import Contracts
internal import Crypto
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import ServiceLifecycle
internal import Storage

/// Takes tasks on when the sandbox has run their tests.
///
/// The message only wakes it up: how a run ended is read where the executor stored it, and counts only when what was
/// run is what the task's work comes to. So nobody who can speak on the bus can say that tests passed. What cannot be
/// written now is taken from there by the recovery.
final class ExecutionApplier: Service {
    /// Results in one transaction; the work of each is in memory, too.
    static let batchMax = 16

    private let bus: MessageBus
    private let executions: TaskExecutionStore
    let requester: ExecutionRequester
    private let changer: TaskChanger
    private let logger: Logger

    private var decider: Decider { changer.decider }

    init(
        bus: MessageBus, executions: TaskExecutionStore, requester: ExecutionRequester, changer: TaskChanger,
        logger: Logger
    ) {
        self.bus = bus
        self.executions = executions
        self.requester = requester
        self.changer = changer
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await self.bus.consume(
                        .sandboxResults, as: BusTopology.orchestratorExecutions, batchMax: Self.batchMax
                    ) { batch in
                        // Results of runs that no task waits for come here as well.
                        try await self.apply(batch.filter { $0.message.task != nil }.map(\.message.execution))
                        return batch.map { _ in .acknowledge }
                    }
                }
                group.addTask { try await self.takeRefused() }
                try await group.waitForAll()
            }
        }
    }

    private func takeRefused() async throws {
        for await refused in requester.refused {
            do {
                try await apply([refused.task: refused.report])
            } catch {
                try Task.checkCancellation()
                logger.debug("work without anything to run is looked at again", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Applies how these runs ended to the tasks that wait for them.
    func apply(_ ids: [ExecutionID]) async throws {
        if ids.isEmpty { return }
        let ended = try await executions.ended(Array(Set(ids)))
        let byTask = Dictionary(grouping: ended) { $0.task }
        let waiting = try await executions.waiting(ended.compactMap(\.task))
        _ = try await decider.workflows.find(waiting.map(\.task))
        var reports: [TaskID: ExecutionReport] = [:]
        for waiting in waiting {
            let own = byTask[waiting.task.id]?.first { $0.id.description == waiting.task.lease?.token }
            if let own { reports[waiting.task.id] = report(on: own, waiting) }
        }
        try await apply(reports)
    }

    private func report(on execution: Execution, _ waiting: TestedTask) -> ExecutionReport {
        let outcome: SandboxOutcome
        if !isOwn(execution, waiting) {
            logger.warning(
                "somebody ran another program in a task's name",
                metadata: [
                    "execution_id": "\(execution.id)", "trace_id": "\(TraceContext.id(of: waiting.task.traceparent))",
                ])
            outcome = .failed("foreign_program", "Somebody ran another program in this task's name.")
        } else {
            outcome =
                execution.ending?.outcome
                ?? .failed("unreadable_result", "The result of the run cannot be read by this version.")
        }
        return ExecutionReport(execution: execution.id, outcome: outcome, artifact: waiting.artifact)
    }

    /// An execution's name is no secret once it was asked for, so what was run is compared with what was to be run.
    private func isOwn(_ execution: Execution, _ waiting: TestedTask) -> Bool {
        guard execution.tenant == waiting.task.tenant, let workflow = decider.workflows.find(waiting.task) else {
            return false
        }
        do throws(ExecutionPlan.Unrunnable) {
            let request = try ExecutionPlan.request(of: waiting.task, artifact: waiting.artifact, workflow: workflow)
            guard let program = request?.program else { return false }
            return execution.requestHash == Array(SHA256.hash(data: Array(program.json.bytes)))
        } catch {
            return false
        }
    }

    private func apply(_ reports: [TaskID: ExecutionReport]) async throws {
        _ = try await changer.apply(to: Array(reports.keys)) { task in
            reports[task.id].map { [TaskMachine.Event.executed($0)] } ?? []
        }
    }
}
