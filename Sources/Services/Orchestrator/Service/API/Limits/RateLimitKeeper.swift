internal import Bootstrap
internal import Contracts
internal import Logging
internal import MessageBus
internal import ServiceLifecycle
internal import Storage

/// Keeps the limits of this replica those that were stored last: at every notice, and every few seconds besides.
struct RateLimitKeeper: Service {
    static let poll: Duration = .seconds(2)

    let limits: RateLimits
    let store: RateLimitStore
    let bus: MessageBus
    let logger: Logger

    func run() async throws {
        try await runUntilShutdown {
            let (rings, bell) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for try await notice in try bus.subscribe(.rateLimits) where notice.version > limits.table.version {
                        bell.yield()
                    }
                }
                group.addTask {
                    while true {
                        bell.yield()
                        try await Task.sleep(for: Self.poll)
                    }
                }
                group.addTask { try await read(at: rings) }
                try await group.waitForAll()
            }
        }
    }

    private func read(at rings: AsyncStream<Void>) async throws {
        var isAway = false
        for await _ in rings {
            do {
                let before = limits.table.version
                if let newest = try await store.newest() { try limits.adopt(newest) }
                if limits.table.version != before {
                    logger.notice("the rate limits were set anew", metadata: ["version": "\(limits.table.version)"])
                }
                isAway = false
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                // The limits in force stay; a line for each try would say nothing new.
                if !isAway { logger.warning("the rate limits cannot be read", metadata: ["error": "\(error)"]) }
                isAway = true
            }
        }
    }

    /// Tells the other replicas, which would look within seconds anyway.
    static func announce(_ version: Int, on bus: MessageBus, logger: Logger) {
        do { try bus.send(RateLimitNotice(version: version), on: .rateLimits) } catch {
            logger.debug("other replicas were not told of the rate limits", metadata: ["error": "\(error)"])
        }
    }
}
