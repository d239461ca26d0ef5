internal import Synchronization

/// Something that waits in the pool's queue for a connection.
protocol Job: AnyObject, Sendable {
    /// When it is refused if no connection has taken it.
    var acquireDeadline: ContinuousClock.Instant { get }

    /// Runs on a connection's thread, inside no `serve` yet.
    func run(on connection: PostgresConnection)

    /// Ends it unrun. Called at most once, never after `run`, from any thread.
    func refuse(_ error: PostgresError)
}

/// A job that one task awaits. Its outcome is delivered exactly once, whichever comes first of running, refusal and
/// the task's cancellation.
final class Call<Outcome: Sendable>: Job {
    private enum State {
        case created
        case waiting(CheckedContinuation<Outcome, Never>)
        case running(CheckedContinuation<Outcome, Never>, Interruption, UInt64)
        case cancelled
        case over
    }

    private enum Cancellation {
        case none
        case answer(CheckedContinuation<Outcome, Never>)
        case interrupt(Interruption, UInt64)
    }

    let acquireDeadline: ContinuousClock.Instant
    private let limit: Duration
    private let body: @Sendable (PostgresConnection) -> Outcome
    private let refusal: @Sendable (PostgresError) -> Outcome
    private let state = Mutex(State.created)

    /// - Parameter limit: the longest run, counted from when a connection takes it.
    init(
        acquireDeadline: ContinuousClock.Instant, limit: Duration,
        body: @escaping @Sendable (PostgresConnection) -> Outcome,
        refusal: @escaping @Sendable (PostgresError) -> Outcome
    ) {
        self.acquireDeadline = acquireDeadline
        self.limit = limit
        self.body = body
        self.refusal = refusal
    }

    /// Waits in the queue, runs, and answers.
    func outcome(in queue: JobQueue) async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let enqueue = state.withLock { state in
                    guard case .created = state else { return false }
                    state = .waiting(continuation)
                    return true
                }
                guard enqueue else { return continuation.resume(returning: refusal(Self.cancelled)) }
                queue.enqueue(self)
            }
        } onCancel: {
            cancel(in: queue)
        }
    }

    func run(on connection: PostgresConnection) {
        let interruption = connection.interruption
        let outcome = connection.serve(within: limit) { token in
            state.withLock { state in
                guard case .waiting(let continuation) = state else { return false }
                state = .running(continuation, interruption, token)
                return true
            }
        } _: {
            body(connection)
        }
        if let outcome { finish(outcome) }
    }

    func refuse(_ error: PostgresError) {
        finish(refusal(error))
    }

    private func finish(_ outcome: Outcome) {
        let continuation: CheckedContinuation<Outcome, Never>? = state.withLock { state in
            defer { state = .over }
            return switch state {
            case .waiting(let continuation), .running(let continuation, _, _): continuation
            case .created, .cancelled, .over: nil
            }
        }
        continuation?.resume(returning: outcome)
    }

    private func cancel(in queue: JobQueue) {
        let action: Cancellation = state.withLock { state in
            switch state {
            case .created:
                state = .cancelled
                return .none
            case .waiting(let continuation):
                state = .over
                return .answer(continuation)
            case .running(_, let interruption, let token): return .interrupt(interruption, token)
            case .cancelled, .over: return .none
            }
        }
        switch action {
        case .none: break
        case .answer(let continuation):
            queue.remove(self)
            continuation.resume(returning: refusal(Self.cancelled))
        case .interrupt(let interruption, let token): interruption.request(.cancelled, token: token)
        }
    }

    private static var cancelled: PostgresError {
        PostgresError(.cancelled, "The task was cancelled while it waited for a connection. Nothing was sent.")
    }
}
