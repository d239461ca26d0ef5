internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import ServiceLifecycle
internal import Storage

/// Carries out replays, one at a time: a batch of letters, then a note of how far it came, until it is done, stopped,
/// or another worker has it. Whoever dies in between is succeeded when the lease ends; what was sent and not noted is
/// sent again under the same ids, which the bus knows.
final class Replayer: Service {
    static let batchMax = 1000
    static let pollInterval: Duration = .milliseconds(250)
    static let retryInterval: Duration = .seconds(2)

    private let sender: LetterSender
    private let store: DeadLetterStore
    private let instruments: DLQInstruments
    private let logger: Logger

    init(sender: LetterSender, store: DeadLetterStore, instruments: DLQInstruments, logger: Logger) {
        self.sender = sender
        self.store = store
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            while true {
                do {
                    guard let claim = try await self.store.claim() else {
                        try await Task.sleep(for: Self.pollInterval, tolerance: .milliseconds(50))
                        continue
                    }
                    try await self.carryOut(claim)
                } catch {
                    try Task.checkCancellation()
                    self.logger.warning("a replay halted; it is taken up again", metadata: ["error": "\(error)"])
                    try await Task.sleep(for: Self.retryInterval)
                }
            }
        }
    }

    private func carryOut(_ claim: ClaimedReplay) async throws {
        let replay = claim.replay
        logger.info("replaying", metadata: ["replay_id": "\(replay.id)", "letters": "\(replay.total)"])
        // A batch takes a second or less of the rate, so that a stop is heard soon.
        let size = min(Self.batchMax, max(1, replay.rate))
        while true {
            let start = ContinuousClock.now
            let letters = try await store.next(of: replay, limit: size)
            let fates = try await sender.send(letters, payload: replay.payload.map { Array($0.utf8) })
            let isDone = letters.count < size
            instruments.replayed(fates)
            let state = try await store.advance(claim, past: letters.last, fates: fates, isDone: isDone)
            guard let state, state.state == .running else {
                let how = state?.state.rawValue ?? "taken over by another worker"
                logger.info("a replay ended here", metadata: ["replay_id": "\(replay.id)", "state": "\(how)"])
                return
            }
            let due = start + .seconds(1) * (Double(letters.count) / Double(replay.rate))
            try await Task.sleep(until: due, clock: .continuous)
        }
    }
}
