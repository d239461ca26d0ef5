internal import Bootstrap
internal import Contracts
internal import Coordination
internal import DLQWorkerCore
internal import FoundationEssentials
internal import Logging
internal import ServiceLifecycle
internal import Storage

/// Counts the unresolved letters and tells the sinks when there are too many, and when it is over.
///
/// Each sink has its circuit breaker and its own book: one that is away hears of what goes on when it is back. Several
/// workers tell the same alerts; Alertmanager takes alike ones for one.
final class AlertDesk: Service {
    static let interval: Duration = .seconds(5)

    private struct Line {
        let sink: any AlertSink
        let breaker: CircuitBreaker?
        var book: AlertBook
    }

    private let store: DeadLetterStore
    private let instruments: DLQInstruments
    private let thresholds: AlertBook.Thresholds
    private let sinks: [(sink: any AlertSink, breaker: CircuitBreaker?)]
    private let logger: Logger

    init(
        store: DeadLetterStore, instruments: DLQInstruments, thresholds: AlertBook.Thresholds,
        sinks: [(sink: any AlertSink, breaker: CircuitBreaker?)], logger: Logger
    ) {
        self.store = store
        self.instruments = instruments
        self.thresholds = thresholds
        self.sinks = sinks
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            var lines = self.sinks.map {
                Line(sink: $0.sink, breaker: $0.breaker, book: AlertBook(thresholds: self.thresholds))
            }
            while true {
                do {
                    let count = try await self.store.count(criticalPrefix: Subject.escalationsPrefix)
                    self.instruments.counted(count)
                    for index in lines.indices { try await self.tell(&lines[index], count) }
                } catch {
                    try Task.checkCancellation()
                    self.logger.warning("the dead letters could not be counted", metadata: ["error": "\(error)"])
                }
                try await Task.sleep(for: Self.interval, tolerance: .milliseconds(500))
            }
        }
    }

    /// What a sink did not hear it is told the next time.
    private func tell(_ line: inout Line, _ count: DeadLetterCount) async throws {
        var book = line.book
        let notices = book.update(unresolved: count.unresolved, critical: count.critical, now: Date())
        guard !notices.isEmpty else { return }
        let sink = line.sink
        do {
            if let breaker = line.breaker {
                try await breaker.call { try await sink.tell(notices) }
            } else {
                try await sink.tell(notices)
            }
            line.book = book
            instruments.alerted(sink.name, isTold: true)
        } catch {
            try Task.checkCancellation()
            instruments.alerted(sink.name, isTold: false)
            logger.warning(
                "an alert was not told; it is told again", metadata: ["sink": "\(sink.name)", "error": "\(error)"])
        }
    }
}
