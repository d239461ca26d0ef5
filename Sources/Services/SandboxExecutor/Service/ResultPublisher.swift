internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage

/// Says how runs ended: each result is in Postgres before it is said, and said again until the stream has it.
final class ResultPublisher: Service {
    static let sweepInterval: Duration = .seconds(1)
    static let sweepMax = 100
    /// Sweeps between looks for what is to be forgotten.
    static let purgeEvery = 60
    /// Forgotten in one sweep; while there is more, it goes on with the next one.
    static let purgeMax = 1000

    private let bus: MessageBus
    private let store: SandboxStore
    private let retentionSeconds: Double
    private let logger: Logger

    init(bus: MessageBus, store: SandboxStore, retentionHours: Int, logger: Logger) {
        self.bus = bus
        self.store = store
        retentionSeconds = Double(retentionHours) * 3600
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            var turn = 0
            var hasMore = false
            while true {
                do {
                    try await self.sweep()
                    if turn % Self.purgeEvery == 0 || hasMore {
                        hasMore =
                            try await self.store.purge(
                                olderThanSeconds: self.retentionSeconds, limit: Self.purgeMax) == Self.purgeMax
                    }
                } catch {
                    try Task.checkCancellation()
                    self.logger.warning(
                        "the sweep of results failed; it is repeated", metadata: ["error": "\(error)"])
                }
                turn += 1
                try await Task.sleep(for: Self.sweepInterval, tolerance: .milliseconds(100))
            }
        }
    }

    /// One result after the other: each may be many megabytes.
    private func sweep() async throws {
        for (id, tenant) in try await store.unpublished(limit: Self.sweepMax) {
            if let execution = try await store.find(id, tenant: tenant) { await publish(execution) }
        }
    }

    /// Says a result that has just been stored.
    func publish(_ execution: Execution, outcome: SandboxOutcome) async {
        let result = SandboxResult(
            execution: execution.id, tenant: execution.tenant, task: execution.task, attempt: execution.attempt,
            outcome: outcome
        )
        do {
            _ = try await bus.publish(
                result, on: .sandboxResult(execution.id), id: result.messageID, traceparent: execution.traceparent,
                tenant: execution.tenant
            )
            try await store.markPublished([execution.id])
        } catch {
            logger.warning(
                "a result could not be published; it is published again",
                metadata: [
                    "execution_id": "\(execution.id)", "error": "\(error)",
                    "trace_id": "\(TraceContext.id(of: execution.traceparent))",
                ]
            )
        }
    }

    private func publish(_ execution: Execution) async {
        guard let outcome = outcome(of: execution) else { return }
        await publish(execution, outcome: outcome)
        do throws(BusError) {
            // Nobody has told those who watch, when it ended without an executor.
            let events = SandboxEvents.finale(execution, outcome)
            for event in events { try bus.send(event, on: .sandboxEvents(execution.tenant, execution.id)) }
        } catch {
            logger.debug("nobody was told of an end", metadata: ["error": "\(error)"])
        }
    }

    /// Somebody asked for a run that has ended: its result goes out again.
    func republish(_ execution: Execution) async throws {
        guard let outcome = outcome(of: execution) else { return }
        let result = SandboxResult(
            execution: execution.id, tenant: execution.tenant, task: execution.task, attempt: execution.attempt,
            outcome: outcome
        )
        try await say(result, traceparent: execution.traceparent)
    }

    /// Somebody asked for a run that is not kept: it may be asked for again, and has its own result then.
    func refuse(_ request: SandboxRequest, _ outcome: SandboxOutcome, traceparent: String?) async throws {
        let result = SandboxResult(
            execution: request.execution, tenant: request.tenant, task: request.task, attempt: request.attempt,
            outcome: outcome
        )
        try await say(result, traceparent: traceparent)
    }

    /// Whatever the stream remembers.
    private func say(_ result: SandboxResult, traceparent: String?) async throws {
        _ = try await bus.publish(
            result, on: .sandboxResult(result.execution), id: nil, traceparent: traceparent, tenant: result.tenant)
    }

    private func outcome(of execution: Execution) -> SandboxOutcome? {
        guard let ending = execution.ending else { return nil }
        if ending.outcome == nil {
            logger.error(
                "a stored result cannot be read",
                metadata: [
                    "execution_id": "\(execution.id)", "trace_id": "\(TraceContext.id(of: execution.traceparent))",
                ])
        }
        return ending.outcome
    }
}
