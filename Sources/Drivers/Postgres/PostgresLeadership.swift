internal import DriverThreads
package import Logging
internal import Synchronization

/// Elects one leader among the processes that use the same key, by a session-level advisory lock.
///
/// What it guarantees, and what not:
/// - The server gives the lock to one session at a time. A follower waits for it inside the server, so a leader's end
///   is noticed at once.
/// - A leader whose session is ended hears it within milliseconds and its body is cancelled; one whose server falls
///   silent, within `SessionLock.heartbeat + heartbeatTimeout` and a quarter second. A new leader waits
///   `takeoverDelay` after it got the lock, which is the old body's time to end: bodies do not overlap as long as a
///   cancelled body ends within that delay.
/// - That is no fence. A process that is stopped as a whole (a frozen machine), or cut off from a server that then
///   ends its session, does not know that it lost the lock and may still send a write it had prepared. So every write
///   of a leader must be guarded by its own condition (`WHERE state = …`); leadership saves double work, it does not
///   make writes safe.
package final class PostgresLeadership: Sendable {
    private let configuration: PostgresConfiguration
    private let key: Int64
    private let takeoverDelay: Duration
    private let logger: Logger
    private let leading = Mutex(false)

    /// The backoff has long reached its cap here.
    private static let maxBackoffAttempt = 16

    /// - Parameter takeoverDelay: at least as long as a body needs to end once cancelled.
    package init(
        _ configuration: PostgresConfiguration, key: Int64, takeoverDelay: Duration = .seconds(1), logger: Logger
    ) {
        self.configuration = configuration
        self.key = key
        self.takeoverDelay = takeoverDelay
        self.logger = logger
    }

    /// True while this process's body runs. A body whose lock was lost is cancelled but runs until it ends.
    package var isLeading: Bool { leading.withLock { $0 } }

    /// Waits to become leader, runs `body`, and does so again whenever leadership is lost, until the task is cancelled.
    /// When `body` returns, leadership is given up and `run` returns; when it throws by itself, `run` throws its
    /// error.
    package func run(whileLeading body: @escaping @Sendable () async throws -> Void) async throws {
        let backoff = Backoff(base: .milliseconds(100), cap: .seconds(2))
        var failures = 0
        while !Task.isCancelled {
            let ending = await SessionLock(configuration, key: key).hold { try await self.lead(body) }
            leading.withLock { $0 = false }
            switch ending {
            case .returned: return
            case .threw(let error):
                if Task.isCancelled { return }
                throw error
            case .cancelled: return
            case .lost(let error):
                logger.warning("leadership lost", metadata: ["key": "\(key)", "error": "\(error)"])
                failures = 0
            case .notAcquired(let error):
                if failures == 0 {
                    logger.warning("leadership cannot be sought", metadata: ["key": "\(key)", "error": "\(error)"])
                }
                failures = min(failures + 1, Self.maxBackoffAttempt)
            }
            do {
                try await Task.sleep(for: backoff.delay(attempt: failures))
            } catch {
                return
            }
        }
    }

    private func lead(_ body: @Sendable () async throws -> Void) async throws {
        try await Task.sleep(for: takeoverDelay)
        leading.withLock { $0 = true }
        defer { leading.withLock { $0 = false } }
        logger.info("leadership taken", metadata: ["key": "\(key)"])
        try await body()
    }
}
