internal import Logging
internal import Storage

/// Publishes what no fast path got done: every second, whatever has waited in the outbox for longer than one.
struct OutboxRelay: Sendable {
    static let interval: Duration = .seconds(1)
    static let age: Duration = .seconds(1)
    /// Messages in one sweep; a full sweep is followed by the next at once.
    static let sweepMax = 500

    let outbox: OutboxStore
    let publisher: EffectPublisher
    let logger: Logger

    /// Sweeps until cancelled.
    func run() async throws {
        while true {
            do {
                while try await sweep() == Self.sweepMax {}
            } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("a sweep of the outbox failed", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    /// How many messages the bus took.
    func sweep() async throws -> Int {
        let messages = try await outbox.overdue(age: Self.age, limit: Self.sweepMax)
        if messages.isEmpty { return 0 }
        let published = await publisher.publishTogether(messages)
        try await outbox.forget(published)
        logger.info(
            "relayed messages from the outbox",
            metadata: ["published": "\(published.count)", "found": "\(messages.count)"]
        )
        return published.count
    }
}
