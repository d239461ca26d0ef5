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

    /// A batch that was sent and is not noted yet.
    private struct Sent: Sendable {
        let batch: LetterBatch
        let fates: [LetterFate]
    }

    /// While one batch is sent, the one before is noted and the one behind is read, so that the bus need not wait for
    /// Postgres.
    private func carryOut(_ claim: ClaimedReplay) async throws {
        let replay = claim.replay
        logger.info("replaying", metadata: ["replay_id": "\(replay.id)", "letters": "\(replay.total)"])
        // A batch takes a second or less of the rate, so that a stop is heard soon.
        let size = min(Self.batchMax, max(1, replay.rate))
        let payload = replay.payload.map { Array($0.utf8) }
        var batch = try await store.next(of: replay, after: claim.place, limit: size)
        var sent: Sent?
        while true {
            let start = ContinuousClock.now
            let (now, before) = (batch, sent)
            async let isWanted = note(before, claim)
            async let following = next(of: replay, behind: now, limit: size)
            let fates = try await sender.send(now.letters, payload: payload)
            instruments.replayed(fates)
            let goesOn = try await isWanted
            if !goesOn || now.isLast {
                _ = try await note(Sent(batch: now, fates: fates), claim)
                return
            }
            sent = Sent(batch: now, fates: fates)
            batch = try await following
            let due = start + .seconds(1) * (Double(now.letters.count) / Double(replay.rate))
            if due > .now { try await Task.sleep(until: due, clock: .continuous) }
        }
    }

    private func next(of replay: Replay, behind batch: LetterBatch, limit: Int) async throws -> LetterBatch {
        guard !batch.isLast, let last = batch.letters.last else { return batch }
        return try await store.next(of: replay, after: ReplayPlace(last), limit: limit)
    }

    /// False when the replay is at its end here: done, stopped, or another worker's.
    private func note(_ sent: Sent?, _ claim: ClaimedReplay) async throws -> Bool {
        guard let sent else { return true }
        let state = try await store.advance(
            claim, past: sent.batch.letters.last, fates: sent.fates, isDone: sent.batch.isLast)
        if state?.state == .running { return true }
        let how = state?.state.rawValue ?? "taken over by another worker"
        logger.info("a replay ended here", metadata: ["replay_id": "\(claim.replay.id)", "state": "\(how)"])
        return false
    }
}
