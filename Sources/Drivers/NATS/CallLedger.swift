/// The calls that wait for an answer: who, until when, and whether anything was sent.
///
/// Pure: every event returns a `Step`, which `NATSConnection` carries out after it has let go of the lock.
/// Publishes to streams are admitted up to a count and a number of bytes; the rest wait in order.
struct CallLedger {
    typealias Answer = Result<NATSMessage, NATSError>

    enum Kind { case publish, request }

    struct Limits {
        let publishMax: Int
        let publishBytesMax: Int
        let callMax: Int
    }

    /// Who is told how a call ended.
    enum Waiter {
        case caller(CheckedContinuation<Answer, Never>)
        /// Of many calls that one caller made together, the one at this place.
        case batch(CallBatch, place: Int)

        func resume(returning answer: Answer) {
            switch self {
            case .caller(let continuation): continuation.resume(returning: answer)
            case .batch(let batch, let place): batch.answer(answer, at: place)
            }
        }
    }

    /// What the shell has to do.
    struct Step {
        var resume: [(Waiter, Answer)] = []
        var send: [Outgoing] = []
        /// A call ended before its message was written: the writer need not keep it.
        var leavesMessages = false
        /// The deadline thread must look again by then.
        var wakeBy: ContinuousClock.Instant?
    }

    private struct Call {
        let kind: Kind
        let sizeBytes: Int
        let deadline: ContinuousClock.Instant
        let waiter: Waiter
        /// While it waits for its turn.
        var isWaiting = false
        /// The session that wrote it; nil while nothing was written.
        var sentIn: Int?
    }

    private let limits: Limits
    private var calls: [UInt64: Call] = [:]
    private var turn: [(id: UInt64, message: Outgoing)] = []
    private var turnHead = 0
    private var publishCount = 0
    private var publishBytes = 0
    private var lastID: UInt64 = 0
    private var scanAt: ContinuousClock.Instant?
    private var isClosed = false

    init(limits: Limits) {
        self.limits = limits
    }

    var isEmpty: Bool { calls.isEmpty }

    mutating func newID() -> UInt64 { newIDs(1).lowerBound }

    mutating func newIDs(_ count: Int) -> Range<UInt64> {
        let first = lastID + 1
        lastID += UInt64(count)
        return first..<(lastID + 1)
    }

    mutating func add(
        _ id: UInt64, _ kind: Kind, _ message: Outgoing?, deadline: ContinuousClock.Instant, _ waiter: Waiter
    ) -> Step {
        var step = Step()
        add(id, kind, message, deadline: deadline, waiter, to: &step)
        admit(&step)
        return step
    }

    /// Publishes that one caller makes together, in their order.
    mutating func add(
        _ messages: [(id: UInt64, message: Outgoing)], deadline: ContinuousClock.Instant, _ batch: CallBatch
    ) -> Step {
        var step = Step()
        for (place, call) in messages.enumerated() {
            add(call.id, .publish, call.message, deadline: deadline, .batch(batch, place: place), to: &step)
        }
        admit(&step)
        return step
    }

    private mutating func add(
        _ id: UInt64, _ kind: Kind, _ message: Outgoing?, deadline: ContinuousClock.Instant, _ waiter: Waiter,
        to step: inout Step
    ) {
        if isClosed {
            step.resume.append((waiter, .failure(Self.closed)))
            return
        }
        guard calls.count < limits.callMax else {
            step.resume.append((waiter, .failure(Self.backlogFull)))
            return
        }
        var call = Call(kind: kind, sizeBytes: message?.sizeBytes ?? 0, deadline: deadline, waiter: waiter)
        switch kind {
        case .request:
            if let message { step.send.append(message) }
        case .publish:
            guard let message else { break }
            if turn.isEmpty, hasRoom(for: message) {
                take(message, &step)
            } else {
                call.isWaiting = true
                turn.append((id, message))
            }
        }
        calls[id] = call
        if scanAt.map({ deadline < $0 }) ?? true {
            scanAt = deadline
            step.wakeBy = deadline
        }
    }

    /// The writer is about to write the call's message. False: the call has ended, so write nothing.
    mutating func markSent(_ id: UInt64, session: Int) -> Bool {
        guard let place = calls.index(forKey: id) else { return false }
        calls.values[place].sentIn = session
        return true
    }

    /// The writer found the connection closed before it wrote anything.
    mutating func markUnsent(_ id: UInt64) {
        calls[id]?.sentIn = nil
    }

    /// Which of these calls have ended. They never come back.
    func ended(among ids: [UInt64]) -> Set<UInt64> {
        Set(ids.filter { calls.index(forKey: $0) == nil })
    }

    mutating func answer(_ id: UInt64, _ answer: Answer) -> Step {
        var step = Step()
        end(id, &step) { _ in answer }
        return step
    }

    mutating func cancel(_ ids: Range<UInt64>) -> Step {
        var step = Step()
        for id in ids {
            end(id, &step) { call in
                guard call.sentIn != nil, call.kind == .publish else {
                    return .failure(NATSError(.cancelled, "The caller was cancelled while it waited for NATS."))
                }
                return .failure(Self.unknown("the caller was cancelled"))
            }
        }
        return step
    }

    /// Everything written in a session that has ended: its answers will not come.
    mutating func sessionLost(_ session: Int) -> Step {
        var step = Step()
        for (id, call) in calls where call.sentIn == session {
            end(id, &step) { call in
                switch call.kind {
                case .publish: .failure(Self.unknown("the connection was lost"))
                case .request: .failure(NATSError(.disconnected, "The connection was lost before the answer came."))
                }
            }
        }
        return step
    }

    mutating func expire(_ now: ContinuousClock.Instant, isConnected: Bool) -> Step {
        var step = Step()
        guard let due = scanAt, due <= now else {
            step.wakeBy = scanAt
            return step
        }
        for (id, call) in calls where call.deadline <= now {
            end(id, &step) { Self.expired($0, isConnected: isConnected) }
        }
        scanAt = calls.values.lazy.map(\.deadline).min()
        step.wakeBy = scanAt
        return step
    }

    /// Refuses new calls; those under way go on.
    mutating func close() {
        isClosed = true
    }

    mutating func endAll() -> Step {
        var step = Step()
        isClosed = true
        for id in Array(calls.keys) {
            end(id, &step) { call in
                let isUnknown = call.kind == .publish && call.sentIn != nil
                return .failure(isUnknown ? Self.unknown("the connection was shut down") : Self.closed)
            }
        }
        step.send = []
        return step
    }

    private mutating func end(_ id: UInt64, _ step: inout Step, _ answer: (Call) -> Answer) {
        guard let call = calls.removeValue(forKey: id) else { return }
        step.resume.append((call.waiter, answer(call)))
        if call.sentIn == nil, !call.isWaiting { step.leavesMessages = true }
        guard call.kind == .publish, !call.isWaiting else { return }
        publishCount -= 1
        publishBytes -= call.sizeBytes
        admit(&step)
    }

    /// Lets waiting publishes go while there is room. Ended ones are skipped.
    private mutating func admit(_ step: inout Step) {
        while turnHead < turn.count {
            let (id, message) = turn[turnHead]
            if let place = calls.index(forKey: id) {
                guard hasRoom(for: message) else { break }
                calls.values[place].isWaiting = false
                take(message, &step)
            }
            turnHead += 1
        }
        if turnHead == turn.count {
            turn.removeAll(keepingCapacity: turn.capacity <= 4096)
            turnHead = 0
        } else if turnHead > 1024 {
            turn.removeFirst(turnHead)
            turnHead = 0
        }
    }

    private func hasRoom(for message: Outgoing) -> Bool {
        let fits = publishCount < limits.publishMax && publishBytes + message.sizeBytes <= limits.publishBytesMax
        return fits || publishCount == 0
    }

    private mutating func take(_ message: Outgoing, _ step: inout Step) {
        publishCount += 1
        publishBytes += message.sizeBytes
        step.send.append(message)
    }

    private static func expired(_ call: Call, isConnected: Bool) -> Answer {
        guard call.sentIn == nil else {
            return .failure(
                call.kind == .publish
                    ? unknown("no acknowledgement came in time")
                    : NATSError(.timeout, "No answer came in time. The request may have been carried out.")
            )
        }
        guard isConnected else {
            return .failure(NATSError(.disconnected, "NATS could not be reached in time. Nothing was sent; try again."))
        }
        return .failure(NATSError(.timeout, "The message could not be sent in time. Nothing was sent; try again."))
    }

    private static func unknown(_ why: String) -> NATSError {
        NATSError(.outcomeUnknown, "A publish was sent, but \(why). Publish it again with the same message id.")
    }

    static let closed = NATSError(.closed, "The NATS connection was shut down. Nothing was sent.")

    private static let backlogFull = NATSError(
        .backlogFull, "Too many calls wait for NATS in this process. Nothing was sent; slow down."
    )
}
