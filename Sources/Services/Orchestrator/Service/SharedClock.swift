internal import FoundationEssentials
internal import Logging
internal import Storage
internal import Synchronization

/// The database's time, which all replicas decide by.
///
/// A replica whose own clock is set wrong, or jumps, would end attempts of others before their deadline, or put retries
/// off for hours. Between two readings the time goes on by the steady clock, which nobody sets.
final class SharedClock: Sendable {
    static let interval: Duration = .seconds(5)
    /// A reading that took longer says too little about the time it was taken.
    static let readingMax: Duration = .seconds(1)
    /// Where this machine's clock is further away, people should know.
    static let deviationMax: TimeInterval = 5

    private struct Anchor {
        var time: Date
        var at: ContinuousClock.Instant
    }

    private let store: ReconciliationStore
    private let logger: Logger
    /// This machine's time until the first reading.
    private let anchor = Mutex(Anchor(time: Date(), at: .now))

    init(store: ReconciliationStore, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    var now: Date {
        anchor.withLock { $0.time.addingTimeInterval(Self.seconds(.now - $0.at)) }
    }

    /// Reads it again and again, until the task is canceled.
    @Sendable func run() async throws {
        var isTold = false
        while true {
            do {
                try await read()
                let deviation = now.timeIntervalSinceNow
                if abs(deviation) > Self.deviationMax, !isTold {
                    logger.warning(
                        "this machine's clock differs from the database's, which counts",
                        metadata: ["seconds": "\(Int(-deviation))"]
                    )
                }
                isTold = abs(deviation) > Self.deviationMax
            } catch let error as CancellationError {
                throw error
            } catch {
                // Without the database nothing is decided either.
                logger.debug("the database's time was not read", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    private func read() async throws {
        let asked = ContinuousClock.now
        guard let time = try await store.time() else { return }
        let answered = ContinuousClock.now
        guard answered - asked < Self.readingMax else { return }
        anchor.withLock {
            $0 = Anchor(time: time.addingTimeInterval(Self.seconds(answered - asked) / 2), at: answered)
        }
    }

    private static func seconds(_ duration: Duration) -> TimeInterval { duration / .seconds(1) }
}
