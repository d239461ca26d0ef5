internal import Contracts
internal import Logging
internal import MessageBus
internal import Storage

/// Keeps the limits of this replica those that were stored last.
enum RateLimitKeeper {
    static func service(_ limits: RateLimits, store: RateLimitStore, bus: MessageBus, logger: Logger) -> Refresher {
        Refresher(
            name: "rate limits",
            listen: { ring in
                for try await notice in try bus.subscribe(.rateLimits) where notice.version > limits.table.version {
                    ring()
                }
            },
            read: {
                let before = limits.table.version
                if let newest = try await store.newest() { try limits.adopt(newest) }
                if limits.table.version != before {
                    logger.notice("the rate limits were set anew", metadata: ["version": "\(limits.table.version)"])
                }
            },
            logger: logger
        )
    }

    /// Tells the other replicas, which would look within seconds anyway.
    static func announce(_ version: Int, on bus: MessageBus, logger: Logger) {
        do { try bus.send(RateLimitNotice(version: version), on: .rateLimits) } catch {
            logger.debug("other replicas were not told of the rate limits", metadata: ["error": "\(error)"])
        }
    }
}
