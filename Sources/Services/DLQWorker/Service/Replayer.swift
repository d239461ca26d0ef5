internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import ServiceLifecycle
internal import Storage

/// Carries out replays, many at a time, so that a slow one keeps nobody else's waiting: of each a batch of letters,
/// then a note of how far it came, until it is done, stopped, or another worker has it. Whoever dies in between is
/// succeeded when the lease ends; what was sent and not noted is sent again under the same ids, which the bus knows.
///
/// What is bounded is the batches in hand, of which each has its place from when it is read until it is noted. A batch
/// is read when it may be sent: a replay that waits for that holds neither a place nor letters.
final class Replayer: Service {
    static let batchMax = 1000
    /// Replays in hand at once: two for each batch, since a lease goes on only when a batch is noted, and so must
    /// outlast the wait for a place.
    static let replaysMax = 16
    /// Batches in hand at once, of all of them.
    static let batchesMax = 8
    static let pollInterval: Duration = .milliseconds(250)
    static let retryInterval: Duration = .seconds(2)

    private let sender: LetterSender
    private let store: DeadLetterStore
    private let instruments: DLQInstruments
    private let logger: Logger
    private let places = Places(Replayer.batchesMax)

    init(sender: LetterSender, store: DeadLetterStore, instruments: DLQInstruments, logger: Logger) {
        self.sender = sender
        self.store = store
        self.instruments = instruments
        self.logger = logger
    }

    func run() async throws {
        try await runUntilShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                var inHand = 0
                while true {
                    if inHand == Self.replaysMax {
                        try await group.next()
                        inHand -= 1
                    }
                    let claim = try await self.nextClaim()
                    inHand += 1
                    group.addTask { try await self.takeOn(claim) }
                }
            }
        }
    }

    /// Waits until there is a replay to carry out.
    private func nextClaim() async throws -> ClaimedReplay {
        while true {
            do {
                if let claim = try await store.claim() { return claim }
                try await Task.sleep(for: Self.pollInterval, tolerance: .milliseconds(50))
            } catch {
                try Task.checkCancellation()
                logger.warning("replays could not be looked for; it is tried again", metadata: ["error": "\(error)"])
                try await Task.sleep(for: Self.retryInterval)
            }
        }
    }

    /// Throws only when it is cancelled.
    private func takeOn(_ claim: ClaimedReplay) async throws {
        do {
            try await carryOut(claim)
        } catch {
            try Task.checkCancellation()
            logger.warning(
                "a replay halted; it is taken up again",
                metadata: ["replay_id": "\(claim.replay.id)", "error": "\(error)"])
            try await Task.sleep(for: Self.retryInterval)
        }
    }

    /// A batch that can be sent.
    private struct Ready: Sendable {
        let place: Places.Place
        let batch: LetterBatch
        let prepared: LetterSender.Prepared
    }

    /// A batch that was sent and is not noted yet.
    private struct Sent: Sendable {
        let place: Places.Place
        let batch: LetterBatch
        let fates: [LetterFate]
    }

    /// What a stage has done with one batch.
    private enum Event: Sendable {
        case read(Ready)
        case sent(Sent)
        /// With the replay's state since; nil when it is another worker's. Nobody needs the place any more.
        case noted(ReplayState?, Places.Place)
    }

    /// What waits between the stages.
    private struct Line {
        var ready: Ready?
        var sent: Sent?
        var isSending = false
        var isNoting = false
        var state: ReplayState? = .running
        /// When the next batch may be read and sent.
        var due = ContinuousClock.now

        var maySend: Bool { state == .running && !isSending && sent == nil }

        mutating func hear(_ event: Event) {
            switch event {
            case .read(let batch): ready = batch
            case .sent(let batch): (sent, isSending) = (batch, false)
            case .noted(let since, _): (state, isNoting) = (since, false)
            }
        }
    }

    /// Batches are read, sent and noted side by side, so that the bus and Postgres wait for each other as little as can
    /// be: each stage has one at a time, in their order, and one may wait before it. None waits for a batch behind it,
    /// so that whoever waits for a place gets one. What was being sent when the replay was stopped is noted, too.
    private func carryOut(_ claim: ClaimedReplay) async throws {
        let replay = claim.replay
        logger.info("replaying", metadata: ["replay_id": "\(replay.id)", "letters": "\(replay.total)"])
        let state = try await withThrowingTaskGroup(of: Event.self) { group in
            var line = Line()
            group.addTask { .read(try await self.read(replay, behind: claim.place, at: .now)) }
            while let event = try await group.next() {
                line.hear(event)
                if !line.isNoting, let sent = line.sent {
                    line.sent = nil
                    line.isNoting = true
                    group.addTask { .noted(try await self.note(sent, claim), sent.place) }
                }
                guard line.maySend, let ready = line.ready else { continue }
                line.ready = nil
                line.isSending = true
                let wait = Duration.seconds(1) * (Double(ready.batch.letters.count) / Double(replay.rate))
                let due = max(line.due + wait, .now)
                line.due = due
                group.addTask { .sent(try await self.send(ready)) }
                guard !ready.batch.isLast, let last = ready.batch.letters.last else { continue }
                group.addTask { .read(try await self.read(replay, behind: ReplayPlace(last), at: due)) }
            }
            return line.state
        }
        let how = state?.rawValue ?? "taken over by another worker"
        logger.info("a replay ended here", metadata: ["replay_id": "\(replay.id)", "state": "\(how)"])
    }

    /// A batch takes a second or less of the rate, so that a stop is heard soon.
    private func read(
        _ replay: Replay, behind last: ReplayPlace?, at start: ContinuousClock.Instant
    ) async throws -> Ready {
        if start > .now { try await Task.sleep(until: start, clock: .continuous) }
        let place = try await places.take()
        let limit = min(Self.batchMax, max(1, replay.rate))
        let batch = try await store.next(of: replay, after: last, limit: limit)
        let prepared = try await sender.prepare(batch.letters, payload: replay.payload.map { Array($0.utf8) })
        return Ready(place: place, batch: batch, prepared: prepared)
    }

    private func send(_ ready: Ready) async throws -> Sent {
        let fates = try await sender.send(ready.prepared)
        instruments.replayed(fates)
        return Sent(place: ready.place, batch: ready.batch, fates: fates)
    }

    private func note(_ sent: Sent, _ claim: ClaimedReplay) async throws -> ReplayState? {
        let (letters, isLast) = (sent.batch.letters, sent.batch.isLast)
        return try await store.advance(claim, past: letters.last, fates: sent.fates, isDone: isLast)?.state
    }
}
