internal import DriverThreads
internal import Glibc

/// One turn of a `CoalescingWriter` in the pool's queue. It takes its items only when a connection runs it, so that
/// everything that arrived until then goes along.
final class WriterBatch<Item: Sendable, Outcome: Sendable>: Job {
    private typealias Entry = CoalescingWriter<Item, Outcome>.Entry

    let acquireDeadline: ContinuousClock.Instant
    private let writer: CoalescingWriter<Item, Outcome>
    /// Items of a batch whose connection was lost before COMMIT.
    private let carried: [CoalescingWriter<Item, Outcome>.Entry]

    /// Runs again after a serialization failure or deadlock, each after a pause of at most `maxPause`.
    private static var maxRetries: Int { 3 }
    private static var maxPause: Duration { .milliseconds(50) }

    init(
        writer: CoalescingWriter<Item, Outcome>, acquireDeadline: ContinuousClock.Instant,
        carried: [CoalescingWriter<Item, Outcome>.Entry] = []
    ) {
        self.writer = writer
        self.acquireDeadline = acquireDeadline
        self.carried = carried
    }

    func run(on connection: PostgresConnection) {
        let entries = carried.isEmpty ? writer.take() : carried
        guard !entries.isEmpty else { return writer.batchEnded(onWorker: true) }
        let turn = writer.beginWriting()
        defer { writer.endWriting(turn) }
        var lost: [Entry] = []
        // Set once the pool is being shut down: the parts not yet written get the same answer.
        var closing: PostgresError?
        // Parts of a split batch, the next one last. Depth is bounded by the batch's size, since each is smaller.
        var parts: [[Entry]] = [entries]
        while let part = parts.popLast() {
            guard connection.isUsable else {
                lost += part
                continue
            }
            if let closing {
                fail(part, closing)
                continue
            }
            let result = write(part, on: connection)
            if case .failure(let error as PostgresError) = result {
                // Most likely the earlier batch holds the lock, and its COMMIT takes long.
                if error.isLockTimeout, writer.isBehindAnother(turn) {
                    parts.append(part)
                    continue
                }
                if let pieces = split(part, after: error) {
                    parts += pieces
                    continue
                }
            }
            switch result {
            case .success(let outcomes): answer(part, outcomes)
            case .failure(let error as PostgresError) where error.code == .connectionLost && carried.isEmpty:
                lost += part
            case .failure(let error):
                if let error = error as? PostgresError, error.code == .closed { closing = error }
                fail(part, error)
            }
        }
        guard !lost.isEmpty else { return writer.batchEnded(onWorker: true) }
        guard carried.isEmpty else {
            fail(lost, Self.lostAgain)
            return writer.batchEnded(onWorker: true)
        }
        let again = writer.pool.acquireDeadline(nil)
        writer.pool.queue.enqueue(WriterBatch(writer: writer, acquireDeadline: again, carried: lost))
    }

    func refuse(_ error: PostgresError) {
        fail(carried.isEmpty ? writer.takeHopeless(error) : carried, error)
        writer.batchEnded(onWorker: false)
    }

    /// Writes one part, again where the server asks for it.
    private func write(_ part: [Entry], on connection: PostgresConnection) -> Result<[Outcome], any Error> {
        let backoff = Backoff(base: .milliseconds(2), cap: Self.maxPause)
        for attempt in 0..<Self.maxRetries {
            let result = transact(part, on: connection)
            guard case .failure(let error as PostgresError) = result, connection.isUsable,
                error.code == .serializationFailure || error.code == .deadlock
            else { return result }
            let (_, attoseconds) = backoff.delay(attempt: attempt).components
            usleep(UInt32(truncatingIfNeeded: attoseconds / 1_000_000_000_000))
        }
        return transact(part, on: connection)
    }

    private func transact(_ part: [Entry], on connection: PostgresConnection) -> Result<[Outcome], any Error> {
        let limit = writer.pool.configuration.transactionTimeout
        let result = connection.serve(within: limit) { _ in
            true
        } _: {
            connection.transact(.readCommitted) { transaction in
                let outcomes = try writer.write(part.map(\.item), transaction)
                guard outcomes.count == part.count else {
                    throw PostgresError(
                        .decoding,
                        "The writer \(writer.name) answered \(outcomes.count) outcomes for \(part.count) items. "
                            + "Nothing was kept unless it had finished the transaction; correct its statement."
                    )
                }
                return outcomes
            }
        }
        return result ?? .failure(JobQueue.closed)
    }

    private func answer(_ part: [Entry], _ outcomes: [Outcome]) {
        for (entry, outcome) in zip(part, outcomes) { entry.continuation.resume(returning: .success(outcome)) }
    }

    private func fail(_ part: [Entry], _ error: any Error) {
        for entry in part { entry.continuation.resume(returning: .failure(error)) }
    }

    /// What to write one after the other where the refusal may be meant for some of the items only; else nil.
    private func split(_ part: [Entry], after error: PostgresError) -> [[Entry]]? {
        if part.count == 1 { return nil }
        if Self.isFaultOfData(error) {
            let middle = part.count / 2
            return [Array(part[middle...]), Array(part[..<middle])]
        }
        guard error.isLockTimeout, let apart = writer.apart else { return nil }
        let pieces = Dictionary(grouping: part) { apart($0.item) }
        return pieces.count > 1 ? Array(pieces.values) : nil
    }

    private static func isFaultOfData(_ error: PostgresError) -> Bool {
        error.code == .invalidData || error.code == .constraintViolation
    }

    private static var lostAgain: PostgresError {
        PostgresError(
            .connectionLost, "The connection was lost twice before COMMIT. Nothing was kept; submit it again."
        )
    }
}
