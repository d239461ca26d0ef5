internal import DriverThreads
package import Logging

/// Whether commands can be sent.
package enum RedisConnectionState: Sendable {
    case connected
    /// Commands fail at once. The error says why the last attempt or connection ended; nil before the first attempt.
    case disconnected(RedisError?)
    /// Shut down; there is no way back.
    case closed
}

/// One connection to one Redis server, on a thread of its own, shared by any number of callers.
///
/// Commands that are outstanding together are pipelined without anybody asking for it. While there is no connection a
/// command fails at once with `disconnected`: it never waits for the reconnecting, which goes on by itself. A command
/// is sent at most once and never repeated by the driver; after `timeout`, `disconnected` or `cancelled` it may or may
/// not have been carried out.
///
/// All callers share one order of replies: a slow command delays those behind it. Slow work deserves a connection of
/// its own.
package final class RedisConnection: Sendable {
    package let configuration: RedisConfiguration
    private let mailbox: Mailbox
    private let logger: Logger

    package init(_ configuration: RedisConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        mailbox = Mailbox(maxQueued: configuration.maxQueued, maxQueuedBytes: configuration.maxQueuedBytes)
    }

    /// Connects, and keeps connected until `shutdown` or until the calling task is cancelled. To be called once.
    ///
    /// - Throws: `CancellationError` when the task was cancelled; outstanding commands then fail with `closed`.
    package func run() async throws {
        let loop = ConnectionLoop(configuration: configuration, mailbox: mailbox, logger: logger)
        await withTaskCancellationHandler {
            await mailbox.runUntilFinished { startThread(name: "redis") { loop.run() } }
        } onCancel: {
            mailbox.beginClosing(deadline: .now)
        }
        try Task.checkCancellation()
    }

    /// Refuses new commands, gives outstanding ones up to `limit` for their replies, then closes. Returns when that is
    /// done, and in any case soon after `limit`.
    package func shutdown(within limit: Duration) async {
        let states = mailbox.watch()
        mailbox.beginClosing(deadline: .now + limit)
        // The thread keeps the limit by itself, except inside the operating system's name resolver.
        _ = await Self.first(of: states, within: limit + .milliseconds(100)) { state in
            if case .closed = state { true } else { false }
        }
    }

    /// Sends one command and waits for its reply.
    ///
    /// - Parameter timeout: from now to the reply; nil means the configured `commandTimeout`.
    /// - Throws: every code except `connectFailed` and `authenticationFailed`, which stand in `underlying`.
    package func command(
        _ arguments: [RedisArgument], timeout: Duration? = nil
    ) async throws(RedisError) -> RedisReply {
        try await send(arguments, deadline: .now + (timeout ?? configuration.commandTimeout))
    }

    /// Runs a script by its digest. When the server does not know it, the script is sent in full once, which runs and
    /// teaches it in one step: no flush can come in between, and nobody else's pipelining waits. `timeout` bounds all
    /// of it together.
    ///
    /// - Throws: as `command`; an error the script raises is `server`.
    package func evaluate(
        _ script: RedisScript, keys: [String], arguments: [RedisArgument], timeout: Duration? = nil
    ) async throws(RedisError) -> RedisReply {
        let deadline = ContinuousClock.now + (timeout ?? configuration.commandTimeout)
        let rest = [RedisArgument(keys.count)] + keys.map { RedisArgument.text($0) } + arguments
        do throws(RedisError) {
            return try await send(["EVALSHA", .text(script.digest)] + rest, deadline: deadline)
        } catch {
            guard error.code == .server("NOSCRIPT") else { throw error }
        }
        return try await send(["EVAL", .text(script.source)] + rest, deadline: deadline)
    }

    package var isConnected: Bool {
        if case .connected = mailbox.state { true } else { false }
    }

    /// The state now, and then every change, until `closed`. A reader that falls 64 states behind loses the oldest.
    package func stateChanges() -> AsyncStream<RedisConnectionState> { mailbox.watch() }

    /// Waits for the connection, for a start that shall fail rather than begin without Redis.
    ///
    /// - Throws: `authenticationFailed` at once, `closed`, `cancelled`, or `connectFailed` after `limit`.
    package func waitUntilConnected(within limit: Duration) async throws(RedisError) {
        let state = await Self.first(of: mailbox.watch(), within: limit) { state in
            switch state {
            case .connected, .closed: true
            case .disconnected(let cause): cause?.code == .authenticationFailed
            }
        }
        switch state {
        case .connected: return
        case .closed: throw .closed
        case .disconnected(let cause?): throw cause
        case .disconnected(nil), nil:
            if Task.isCancelled { throw .cancelled }
            var last: RedisError?
            if case .disconnected(let cause) = mailbox.state { last = cause }
            throw RedisError(
                .connectFailed, "No connection to Redis within \(limit); attempts go on.", underlying: last
            )
        }
    }

    private func send(
        _ arguments: [RedisArgument], deadline: ContinuousClock.Instant
    ) async throws(RedisError) -> RedisReply {
        let bytes = try CommandEncoder.encode(arguments, maxBytes: configuration.maxCommandBytes)
        return try await Call(bytes: bytes, deadline: deadline).outcome { mailbox.enqueue($0) }.get()
    }

    /// The first state that fits, or nil when `limit` passes, the stream ends or the task is cancelled.
    private static func first(
        of states: AsyncStream<RedisConnectionState>, within limit: Duration,
        where fits: @escaping @Sendable (RedisConnectionState) -> Bool
    ) async -> RedisConnectionState? {
        await withTaskGroup(of: RedisConnectionState?.self) { group in
            group.addTask { await states.first(where: fits) }
            group.addTask {
                do { try await Task.sleep(for: limit) } catch { return nil }
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}
