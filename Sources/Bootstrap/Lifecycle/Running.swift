internal import ServiceLifecycle

/// Runs `body` until the service is told to stop, which ends it by cancellation and is no error: neither is what a
/// request that was under way then says of it, in the words of whichever driver it was with.
package func runUntilShutdown(_ body: @escaping @Sendable () async throws -> Void) async throws {
    do {
        try await cancelWhenGracefulShutdown(body)
    } catch  where error is CancellationError || Task.isShuttingDownGracefully {
        return
    }
}

/// A driver's `run` and `shutdown` as a service of the lifecycle: stopped when its turn in the shutdown comes.
package struct Running: Service {
    /// How long a connection may take to end in good order.
    package static let stopTimeout: Duration = .seconds(5)

    let name: String
    private let body: @Sendable () async throws -> Void
    private let stop: (@Sendable (Duration) async -> Void)?

    /// - Parameter stop: ends the body; without it, the body is cancelled.
    package init(
        _ name: String, run body: @escaping @Sendable () async throws -> Void,
        stop: (@Sendable (Duration) async -> Void)? = nil
    ) {
        self.name = name
        self.body = body
        self.stop = stop
    }

    package func run() async throws {
        guard let stop else { return try await runUntilShutdown(body) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await gracefulShutdown()
                await stop(Self.stopTimeout)
            }
            // Either it was stopped, and the body ends with that; or the body ended by itself, and nobody waits on.
            try await group.next()
            group.cancelAll()
        }
    }

    /// For what needs no body: waits for its turn to stop.
    @Sendable package static func untilShutdown() async throws { try await gracefulShutdown() }
}
