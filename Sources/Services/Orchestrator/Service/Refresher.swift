internal import Bootstrap
internal import Logging
internal import ServiceLifecycle

/// Keeps what this replica knows in step with the database: reads it whenever another replica rings, and every two
/// seconds besides.
struct Refresher: Service {
    static let poll: Duration = .seconds(2)

    /// What is read, for the log.
    let name: String
    /// Rings the bell at news, until cancelled.
    let listen: @Sendable (_ ring: @Sendable () -> Void) async throws -> Void
    let read: @Sendable () async throws -> Void
    let logger: Logger

    func run() async throws {
        try await runUntilShutdown {
            let (rings, bell) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await listen { bell.yield() } }
                group.addTask {
                    while true {
                        bell.yield()
                        try await Task.sleep(for: Self.poll)
                    }
                }
                group.addTask { try await answer(rings) }
                try await group.waitForAll()
            }
        }
    }

    private func answer(_ rings: AsyncStream<Void>) async throws {
        var isAway = false
        for await _ in rings {
            do {
                try await read()
                isAway = false
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                // What is known stays in force; a line for each try would say nothing new.
                if !isAway {
                    logger.warning(
                        "what is kept in step with the database cannot be read",
                        metadata: ["what": "\(name)", "error": "\(error)"])
                }
                isAway = true
            }
        }
    }
}
