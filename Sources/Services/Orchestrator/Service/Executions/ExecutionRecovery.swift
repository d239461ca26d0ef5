internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import Storage

/// Comes back to runs of tests that a message was lost of, and to those whose time has come: runs on the leading
/// replica. Whatever else is lost, the deadline ends the wait.
struct ExecutionRecovery: Sendable {
    static let interval: Duration = .seconds(1)
    /// A request or a result younger than this is on its way.
    static let travelTime: Duration = .seconds(2)
    static let batchMax = 100
    /// The longest wait between two requests for one run, which begin `travelTime` apart.
    static let askingMax: TimeInterval = 60

    let bus: MessageBus
    let executions: TaskExecutionStore
    let applier: ExecutionApplier
    let logger: Logger

    func run() async throws {
        var asked: [TaskID: (wait: TimeInterval, next: ContinuousClock.Instant)] = [:]
        while true {
            do {
                try await applier.apply(try await executions.unheard(age: Self.travelTime, limit: Self.batchMax))
                asked = try await askAgain(asked)
                try await stopAbandoned()
            } catch {
                try Task.checkCancellation()
                logger.warning("runs of tests could not be looked after", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    /// Answers when each of the runs that nobody has was asked for, and when it is next.
    private func askAgain(
        _ asked: [TaskID: (wait: TimeInterval, next: ContinuousClock.Instant)]
    ) async throws -> [TaskID: (wait: TimeInterval, next: ContinuousClock.Instant)] {
        let unasked = try await executions.unasked(age: Self.travelTime, limit: Self.batchMax)
        guard !unasked.isEmpty else { return [:] }
        // What waits in the stream, or in an executor's hands, is not lost.
        guard let requests = try await bus.backlog(of: BusTopology.sandboxRequests),
            requests.pending + requests.ackPending == 0
        else { return asked }
        let now = ContinuousClock.now
        let due = unasked.filter { asked[$0].map { $0.next <= now } ?? true }
        try await applier.requester.ask(due, derivation: Int(Date().timeIntervalSince1970))
        var next = asked.filter { unasked.contains($0.key) }
        for task in due {
            let wait = min((next[task]?.wait ?? 1) * 2, Self.askingMax)
            next[task] = (wait, now + .seconds(wait))
        }
        return next
    }

    private func stopAbandoned() async throws {
        let abandoned = try await executions.abandoned(prefix: ExecutionPlan.callerPrefix, limit: Self.batchMax)
        for execution in abandoned { try await applier.requester.stop(execution) }
        if !abandoned.isEmpty {
            logger.info("stopped runs nobody waits for", metadata: ["count": "\(abandoned.count)"])
        }
    }
}
