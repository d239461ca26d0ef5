internal import DriverThreads
internal import Synchronization

/// Collects items and writes many of them in one transaction.
///
/// Batching is natural, without a timer: an item goes at once when no write is in flight; what arrives meanwhile goes
/// together (up to `maxBatch`) as the next write. Idle latency is one round trip, and the busier it gets the larger the
/// batches. With `maxInFlight` above 1 several batches are written at once, and order between batches is not kept;
/// `minBeside` keeps them from becoming many small ones.
///
/// Each caller gets its own item's outcome, or its own item's error:
/// - an item whose data the server refuses (SQLSTATE class 22 or 23) fails alone: the batch is split to find it;
/// - when a lock is not to be had in time while an earlier batch is being written, the batch is tried again until that
///   one has ended; what then fails for somebody else's lock is written by itself for each `apart`, so that only those
///   fail that need the lock;
/// - a serialization failure or deadlock runs the batch again, up to `maxRetries` times;
/// - a connection lost before COMMIT was sent runs the batch again once; lost later, everyone gets `outcomeUnknown`.
package final class CoalescingWriter<Item: Sendable, Outcome: Sendable>: Sendable {
    /// Writes the items in the transaction and answers one outcome per item, in the items' order. It may run more than
    /// once for an item, but is kept at most once. It ends with `transaction.finish(_:)` to save a round trip.
    package typealias Write = @Sendable ([Item], borrowing PostgresTransaction) throws -> [Outcome]

    /// An item and who waits for it.
    struct Entry: Sendable {
        let item: Item
        let ticket: Ticket
        let acquireDeadline: ContinuousClock.Instant
        let continuation: CheckedContinuation<Result<Outcome, any Error>, Never>
    }

    /// Names one call of `submit`.
    final class Ticket: Sendable {
        let isCancelled = Atomic(false)
    }

    private enum Admission { case none, start, refuse(PostgresError) }

    private struct State {
        var queue: [Entry] = []
        var inFlight = 0
        /// Batches that are being written, by the order in which they began.
        var turns: Set<Int> = []
        var nextTurn = 0
        var isClosed = false
    }

    let name: String
    let pool: PostgresPool
    let maxBatch: Int
    let write: Write
    /// Names what an item has to do with: items with one name stand or fall together by what others hold locked.
    let apart: (@Sendable (Item) -> String)?
    private let maxQueued: Int
    private let maxInFlight: Int
    private let minBeside: Int
    private let state = Mutex(State())
    private let drained = Latch()

    /// - Parameters:
    ///   - name: for messages.
    ///   - maxQueued: items waiting for a write; one more is refused as `overloaded`.
    ///   - minBeside: items that must wait before a batch is written beside another.
    ///   - apart: what an item has to do with, such as its tenant; nil when a lock that one item misses may fail all.
    package init(
        name: String, pool: PostgresPool, maxBatch: Int = 256, maxQueued: Int = 8192, maxInFlight: Int = 1,
        minBeside: Int = 1, apart: (@Sendable (Item) -> String)? = nil, write: @escaping Write
    ) {
        precondition(
            maxBatch > 0 && maxQueued > 0 && maxInFlight > 0 && minBeside > 0, "A writer's bounds are at least 1.")
        self.name = name
        self.pool = pool
        self.maxBatch = maxBatch
        self.maxQueued = maxQueued
        self.maxInFlight = maxInFlight
        self.minBeside = minBeside
        self.apart = apart
        self.write = write
    }

    /// Writes the item with whatever else is waiting, and answers its outcome once it is committed.
    ///
    /// Cancelling the task takes the item back while it is queued; once it is being written its outcome is awaited.
    /// - Throws: `overloaded` at once when the queue is full; otherwise see the type's description.
    package func submit(_ item: Item) async throws -> Outcome {
        let ticket = Ticket()
        let acquireDeadline = pool.acquireDeadline(nil)
        return try await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                enqueue(
                    Entry(
                        item: item, ticket: ticket, acquireDeadline: acquireDeadline, continuation: continuation
                    ))
            }
        } onCancel: {
            takeBack(ticket)
        }.get()
    }

    /// Refuses new items and returns when those accepted have their outcome; the pool's timeouts bound that.
    package func shutdown() async {
        let isIdle = state.withLock { state in
            state.isClosed = true
            return state.inFlight == 0 && state.queue.isEmpty
        }
        if isIdle { drained.open() }
        await drained.wait()
    }

    // MARK: The queue

    private func enqueue(_ entry: Entry) {
        let action: Admission = state.withLock { state in
            if state.isClosed { return .refuse(closed) }
            if entry.ticket.isCancelled.load(ordering: .sequentiallyConsistent) { return .refuse(cancelled) }
            guard state.queue.count < maxQueued else { return .refuse(full) }
            state.queue.append(entry)
            guard state.inFlight < maxInFlight, isEnough(state.queue.count, beside: state.inFlight) else {
                return .none
            }
            state.inFlight += 1
            return .start
        }
        switch action {
        case .none: break
        case .start: pool.queue.enqueue(WriterBatch(writer: self, acquireDeadline: entry.acquireDeadline))
        case .refuse(let error): entry.continuation.resume(returning: .failure(error))
        }
    }

    private func takeBack(_ ticket: Ticket) {
        ticket.isCancelled.store(true, ordering: .sequentiallyConsistent)
        let entry: Entry? = state.withLock { state in
            state.queue.firstIndex { $0.ticket === ticket }.map { state.queue.remove(at: $0) }
        }
        entry?.continuation.resume(returning: .failure(cancelled))
    }

    // MARK: For batches

    /// The oldest items, at most `maxBatch`.
    func take() -> [Entry] {
        state.withLock { state in
            let batch = Array(state.queue.prefix(maxBatch))
            state.queue.removeFirst(batch.count)
            return batch
        }
    }

    /// The items a refused batch leaves behind without a chance: all of them when the pool takes nothing more, else
    /// those whose own time to get a connection is over, at least the oldest.
    func takeHopeless(_ refusal: PostgresError) -> [Entry] {
        let now = ContinuousClock.now
        let takesNothing = refusal.code == .closed || refusal.code == .overloaded
        return state.withLock { state in
            let expired = state.queue.firstIndex { $0.acquireDeadline > now } ?? state.queue.count
            let batch = Array(state.queue.prefix(takesNothing ? state.queue.count : max(1, expired)))
            state.queue.removeFirst(batch.count)
            return batch
        }
    }

    /// A batch has a connection and begins to write; answers its turn.
    func beginWriting() -> Int {
        state.withLock { state in
            state.nextTurn += 1
            state.turns.insert(state.nextTurn)
            return state.nextTurn
        }
    }

    func endWriting(_ turn: Int) { state.withLock { _ = $0.turns.remove(turn) } }

    /// Whether a batch that began earlier is still being written: the earliest waits for none, so that all come to an
    /// end.
    func isBehindAnother(_ turn: Int) -> Bool { state.withLock { $0.turns.contains { $0 < turn } } }

    /// A batch is over: starts the next where items wait.
    ///
    /// - Parameter onWorker: called by a connection's thread, which asks for its next job now.
    func batchEnded(onWorker: Bool) {
        let next: ContinuousClock.Instant? = state.withLock { state in
            if let first = state.queue.first, isEnough(state.queue.count, beside: state.inFlight - 1) {
                return first.acquireDeadline
            }
            state.inFlight -= 1
            return nil
        }
        if let next { return pool.queue.enqueue(WriterBatch(writer: self, acquireDeadline: next), follows: onWorker) }
        let isDrained = state.withLock { $0.isClosed && $0.inFlight == 0 && $0.queue.isEmpty }
        if isDrained { drained.open() }
    }

    private func isEnough(_ count: Int, beside inFlight: Int) -> Bool { inFlight == 0 || count >= minBeside }

    // MARK: What refused callers are told

    private var cancelled: PostgresError {
        PostgresError(.cancelled, "The task was cancelled while its item for \(name) was queued. Nothing was written.")
    }

    private var closed: PostgresError {
        PostgresError(.closed, "The writer \(name) is shut down. Nothing was written.")
    }

    private var full: PostgresError {
        PostgresError(.overloaded, "\(maxQueued) items wait for \(name) already. Nothing was written; try again later.")
    }
}
