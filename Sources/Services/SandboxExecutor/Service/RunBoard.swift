internal import Contracts
internal import SandboxExecutorCore
internal import Synchronization

/// Who waits and what runs on this replica.
final class RunBoard: Sendable {
    /// What is remembered of those that wait; the rest is in the database.
    static let waitingMax = 1000

    private struct Run {
        let tenant: TenantID
        var sandbox: Sandbox?
        var stop: StopReason?
        var log: EventLog?
    }

    private struct State {
        var queue = FairQueue(max: RunBoard.waitingMax)
        var runs: [ExecutionID: Run] = [:]
        var isClosed = false
    }

    let concurrency: Int
    private let state = Mutex(State())
    private let nudge: AsyncStream<Void>.Continuation
    /// Something may be begun now.
    let nudges: AsyncStream<Void>

    init(concurrency: Int) {
        self.concurrency = concurrency
        (nudges, nudge) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func add(_ tickets: [FairQueue.Ticket]) {
        state.withLock { state in
            for ticket in tickets where state.runs[ticket.execution] == nil { state.queue.add(ticket) }
        }
        nudge.yield()
    }

    /// What the database has, in its order. What was added since it was asked stays, where there is room.
    func replace(with tickets: [FairQueue.Ticket]) {
        state.withLock { state in
            let waiting = tickets.filter { state.runs[$0.execution] == nil }
            state.queue.replace(with: waiting)
        }
        nudge.yield()
    }

    /// The next to run, when there is room; it counts as running from here on.
    func takeNext() -> FairQueue.Ticket? {
        state.withLock { state in
            guard !state.isClosed, state.runs.count < concurrency else { return nil }
            let running = state.runs.values.reduce(into: [TenantID: Int]()) { $0[$1.tenant, default: 0] += 1 }
            guard let ticket = state.queue.next(running: running) else { return nil }
            state.runs[ticket.execution] = Run(tenant: ticket.tenant)
            return ticket
        }
    }

    var hasRoomAndWork: Bool {
        state.withLock { !$0.isClosed && $0.runs.count < concurrency && $0.queue.count > 0 }
    }

    func begin(_ execution: ExecutionID, _ log: EventLog) { state.withLock { $0.runs[execution]?.log = log } }

    /// It may have been asked to stop before it had a sandbox.
    func hold(_ execution: ExecutionID, _ sandbox: Sandbox) {
        let stop = state.withLock { state in
            state.runs[execution]?.sandbox = sandbox
            return state.runs[execution]?.stop
        }
        if let stop { sandbox.stop(stop) }
    }

    /// Whether its sandbox has started its program.
    func hasStarted(_ execution: ExecutionID) -> Bool {
        let sandbox = state.withLock { $0.runs[execution]?.sandbox }
        return sandbox?.hasStarted ?? false
    }

    func end(_ execution: ExecutionID) {
        state.withLock { _ = $0.runs.removeValue(forKey: execution) }
        nudge.yield()
    }

    func stop(_ execution: ExecutionID, _ reason: StopReason) {
        let sandbox = state.withLock { state in
            if state.runs[execution]?.stop == nil { state.runs[execution]?.stop = reason }
            state.queue.remove(execution)
            return state.runs[execution]?.sandbox
        }
        sandbox?.stop(reason)
    }

    func stopAll(_ reason: StopReason) { for execution in running { stop(execution, reason) } }

    func log(of execution: ExecutionID) -> EventLog? { state.withLock { $0.runs[execution]?.log } }

    var running: [ExecutionID] { state.withLock { Array($0.runs.keys) } }

    /// Begins nothing more.
    func close() { state.withLock { $0.isClosed = true } }
}

/// What a run has told so far, for those who ask to hear it again.
final class EventLog: Sendable {
    /// Of repetitions, however many ask.
    static let repeatEvery: Duration = .milliseconds(100)

    private struct State {
        var events: [SandboxEvent] = []
        var repeatedAt: ContinuousClock.Instant?
    }

    private let send: @Sendable (SandboxEvent) -> Void
    private let state = Mutex(State())

    init(send: @escaping @Sendable (SandboxEvent) -> Void) {
        self.send = send
    }

    /// Tells them, in order, from one thread at a time.
    func tell(_ events: [SandboxEvent]) {
        state.withLock { $0.events += events }
        for event in events { send(event) }
    }

    func tellAgain() {
        let now = ContinuousClock.now
        let events = state.withLock { state -> [SandboxEvent] in
            if let last = state.repeatedAt, now - last < Self.repeatEvery { return [] }
            state.repeatedAt = now
            return state.events
        }
        for event in events { send(event) }
    }
}
