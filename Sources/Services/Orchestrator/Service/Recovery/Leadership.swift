internal import Bootstrap
internal import Logging
internal import Postgres
internal import ServiceLifecycle

/// What only one replica does at a time, for as long as it holds the advisory lock.
struct Leadership: Service {
    /// The advisory lock's key: "golden" in ASCII.
    static let lockKey: Int64 = 0x676f_6c64_656e
    /// Between the end of a term and the next candidacy.
    static let pause: Duration = .milliseconds(500)

    let election: PostgresLeadership
    let dispatcher: Dispatcher
    let relay: OutboxRelay
    let reconciler: Reconciler
    let lostWork: LostWork
    let reviews: ReviewRecovery
    let buried: BuriedMessages
    let executions: ExecutionRecovery
    let logger: Logger

    func run() async throws {
        try await runUntilShutdown {
            while true {
                do {
                    try await election.run { try await lead() }
                } catch let error as CancellationError {
                    throw error
                } catch {
                    logger.error("a term of leading ended early", metadata: ["error": "\(error)"])
                }
                try await Task.sleep(for: Self.pause)
            }
        }
    }

    private func lead() async throws {
        logger.info("leading")
        defer { logger.info("no longer leading") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await dispatcher.lead() }
            group.addTask { try await relay.run() }
            group.addTask { try await reconciler.run() }
            group.addTask { try await lostWork.run() }
            group.addTask { try await reviews.run() }
            group.addTask { try await buried.run() }
            group.addTask { try await executions.run() }
            // The first to fail ends this term; the next election starts all of it anew.
            try await group.next()
            group.cancelAll()
        }
    }
}
