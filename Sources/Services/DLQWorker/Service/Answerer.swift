internal import Bootstrap
internal import Contracts
internal import DLQWorkerCore
internal import Logging
internal import ServiceLifecycle
internal import Storage

/// Answers letters whose cause has a safe answer: sends them again, once. Those that come back are people's.
final class Answerer: Service {
    static let interval: Duration = .seconds(10)
    static let batchMax = 100

    private let sender: LetterSender
    private let store: DeadLetterStore
    private let instruments: DLQInstruments
    private let logger: Logger
    private let minAge: Duration

    init(
        sender: LetterSender, store: DeadLetterStore, instruments: DLQInstruments, minAge: Duration, logger: Logger
    ) {
        self.sender = sender
        self.store = store
        self.instruments = instruments
        self.minAge = minAge
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            while true {
                do {
                    try await self.answer()
                } catch {
                    try Task.checkCancellation()
                    self.logger.warning("letters were not answered; people see them", metadata: ["error": "\(error)"])
                }
                try await Task.sleep(for: min(Self.interval, self.minAge), tolerance: .seconds(1))
            }
        }
    }

    private func answer() async throws {
        let letters = try await store.takeAnswerable(
            reasons: AnswerPolicy.reasons, families: AnswerPolicy.families, olderThan: minAge, limit: Self.batchMax
        )
        guard !letters.isEmpty else { return }
        let fates = try await sender.send(sender.prepare(letters))
        try await store.settle(fates, by: AnswerPolicy.by)
        instruments.replayed(fates)
        logger.notice("sent dead letters again by policy", metadata: ["letters": "\(letters.count)"])
    }
}
