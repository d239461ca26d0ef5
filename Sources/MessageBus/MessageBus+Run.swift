internal import Logging

extension MessageBus {
    /// Declares streams and consumers at start-up, retrying every second until the bus is there, and repairs them ever
    /// after, until cancelled.
    @Sendable package func setUpAndRun() async throws {
        while true {
            do {
                for change in try await setUp() {
                    logger.info("changed the bus's topology", metadata: ["change": "\(change)"])
                }
                break
            } catch {
                try Task.checkCancellation()
                logger.warning("the bus's topology is not set up yet", metadata: ["error": "\(error)"])
                try await Task.sleep(for: .seconds(1))
            }
        }
        try await run()
    }
}
