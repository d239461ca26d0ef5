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
    static let askingMax: Duration = .seconds(60)

    let bus: MessageBus
    let executions: TaskExecutionStore
    let applier: ExecutionApplier
    let logger: Logger

    func run() async throws {
        var waits = GrowingWaits(first: Self.travelTime, longest: Self.askingMax)
        while true {
            do {
                try await applyUnheard()
                try await askAgain(&waits)
                try await stopAbandoned()
            } catch {
                try Task.checkCancellation()
                logger.warning("runs of tests could not be looked after", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    /// Applies results that nobody heard of, as many at a time as the applier holds in memory.
    private func applyUnheard() async throws {
        let unheard = try await executions.unheard(age: Self.travelTime, limit: Self.batchMax)
        for start in stride(from: 0, to: unheard.count, by: ExecutionApplier.batchMax) {
            try await applier.apply(Array(unheard[start..<min(start + ExecutionApplier.batchMax, unheard.count)]))
        }
    }

    /// Asks for runs that nobody has.
    private func askAgain(_ waits: inout GrowingWaits) async throws {
        let unasked = try await executions.unasked(age: Self.travelTime, limit: Self.batchMax)
        guard !unasked.isEmpty else { return waits.keep([]) }
        // What waits in the stream, or in an executor's hands, is not lost.
        guard let requests = try await bus.backlog(of: BusTopology.sandboxRequests),
            requests.pending + requests.ackPending == 0
        else { return }
        let now = ContinuousClock.now
        let due = unasked.filter { waits.isDue($0, at: now) }
        try await applier.requester.ask(due, derivation: Int(Date().timeIntervalSince1970))
        waits.keep(Set(unasked))
        for task in due { waits.done(task, at: now) }
    }

    private func stopAbandoned() async throws {
        let abandoned = try await executions.abandoned(prefix: ExecutionPlan.callerPrefix, limit: Self.batchMax)
        for execution in abandoned { try await applier.requester.stop(execution) }
        if !abandoned.isEmpty {
            logger.info("stopped runs nobody waits for", metadata: ["count": "\(abandoned.count)"])
        }
    }
}
