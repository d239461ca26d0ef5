internal import DriverThreads
internal import Synchronization

/// What the callers and the connection's thread share: the queue, its bounds, and the connection's state.
final class Mailbox: Sendable {
    /// What the thread finds when it looks.
    struct Intake {
        var calls: [Call]
        /// Set once a shutdown has begun: drain until then.
        var closingDeadline: ContinuousClock.Instant?
    }

    private struct Contents {
        var started = false
        var state = RedisConnectionState.disconnected(nil)
        var closingDeadline: ContinuousClock.Instant?
        var queue: [Call] = []
        var outstanding = 0
        var outstandingBytes = 0
        var watchers: [Int: AsyncStream<RedisConnectionState>.Continuation] = [:]
        var nextWatcher = 0
        var runner: CheckedContinuation<Void, Never>?
    }

    /// Watchers that do not keep up lose the oldest states beyond this many.
    private static let watcherBuffer = 64

    let wakeUp = PollWakeUp()
    private let maxQueued: Int
    private let maxQueuedBytes: Int
    private let contents = Mutex(Contents())

    init(maxQueued: Int, maxQueuedBytes: Int) {
        self.maxQueued = maxQueued
        self.maxQueuedBytes = maxQueuedBytes
    }

    var state: RedisConnectionState { contents.withLock { $0.state } }
    var isClosing: Bool { contents.withLock { $0.closingDeadline != nil } }

    /// Queues a call, or answers why not.
    func enqueue(_ call: Call) -> RedisError? {
        var mustWake = false
        let refusal: RedisError? = contents.withLock { contents in
            if contents.closingDeadline != nil { return .closed }
            switch contents.state {
            case .closed: return .closed
            case .disconnected(let cause): return .unavailable(cause)
            case .connected: break
            }
            guard contents.outstanding < maxQueued,
                contents.outstandingBytes + call.bytes.count <= maxQueuedBytes
            else {
                return RedisError(
                    .overloaded, "\(contents.outstanding) Redis commands are outstanding, the bound; nothing was sent."
                )
            }
            contents.outstanding += 1
            contents.outstandingBytes += call.bytes.count
            mustWake = contents.queue.isEmpty
            contents.queue.append(call)
            return nil
        }
        if mustWake { wakeUp.signal() }
        return refusal
    }

    /// Everything queued since the last look.
    func take() -> Intake {
        contents.withLock { contents in
            defer { contents.queue = [] }
            return Intake(calls: contents.queue, closingDeadline: contents.closingDeadline)
        }
    }

    /// Ends calls. Their room is given back first, so that a caller's next command never meets its own last one.
    func end(_ endings: [Pipeline.Ending]) {
        guard !endings.isEmpty else { return }
        contents.withLock { contents in
            contents.outstanding -= endings.count
            for ending in endings { contents.outstandingBytes -= ending.call.bytes.count }
        }
        for ending in endings { ending.call.finish(ending.outcome) }
    }

    /// Called by the thread only, which keeps the states in order. Answers the calls that were still queued when the
    /// connection went away; no later call is queued until it is back.
    func change(to state: RedisConnectionState) -> [Call] {
        let (calls, watchers) = contents.withLock { contents in
            contents.state = state
            var calls: [Call] = []
            if case .connected = state {} else { swap(&calls, &contents.queue) }
            return (calls, Array(contents.watchers.values))
        }
        for watcher in watchers { watcher.yield(state) }
        return calls
    }

    /// The last change, after which the thread touches nothing.
    func finish() {
        let (watchers, runner) = contents.withLock { contents in
            defer {
                contents.watchers = [:]
                contents.runner = nil
            }
            contents.state = .closed
            return (Array(contents.watchers.values), contents.runner)
        }
        for watcher in watchers {
            watcher.yield(.closed)
            watcher.finish()
        }
        runner?.resume()
    }

    /// Stops the intake; outstanding calls have until `deadline`. An earlier deadline replaces a later one.
    func beginClosing(deadline: ContinuousClock.Instant) {
        let started = contents.withLock { contents in
            contents.closingDeadline = min(contents.closingDeadline ?? deadline, deadline)
            return contents.started
        }
        if started { wakeUp.signal() } else { finish() }
    }

    /// Starts the thread by `start`, and waits until it has ended.
    func runUntilFinished(start: () -> Void) async {
        await withCheckedContinuation { runner in
            let closed = contents.withLock { contents in
                precondition(!contents.started, "A Redis connection runs once.")
                if contents.closingDeadline != nil { return true }
                contents.started = true
                contents.runner = runner
                return false
            }
            if closed { runner.resume() } else { start() }
        }
    }

    func watch() -> AsyncStream<RedisConnectionState> {
        let (stream, watcher) = AsyncStream.makeStream(
            of: RedisConnectionState.self, bufferingPolicy: .bufferingNewest(Self.watcherBuffer)
        )
        let number: Int? = contents.withLock { contents in
            // Nobody iterates yet, so this only fills the buffer: the first state is never overtaken by a change.
            watcher.yield(contents.state)
            if case .closed = contents.state { return nil }
            contents.nextWatcher += 1
            contents.watchers[contents.nextWatcher] = watcher
            return contents.nextWatcher
        }
        guard let number else {
            watcher.finish()
            return stream
        }
        watcher.onTermination = { [weak self] _ in
            self?.contents.withLock { $0.watchers[number] = nil }
        }
        return stream
    }
}
