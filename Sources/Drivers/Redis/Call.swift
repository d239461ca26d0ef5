internal import Synchronization

/// One command on its way: its bytes, its time limit, and the caller that waits.
///
/// It ends exactly once: by its reply, by a failure, or by the caller's cancellation, whichever is first.
final class Call: Sendable {
    typealias Outcome = Result<RedisReply, RedisError>
    private typealias Waiter = CheckedContinuation<Outcome, Never>

    private enum State {
        case created
        case waiting(Waiter)
        case ended
    }

    let bytes: [UInt8]
    let deadline: ContinuousClock.Instant
    private let state = Mutex(State.created)

    init(bytes: [UInt8], deadline: ContinuousClock.Instant) {
        self.bytes = bytes
        self.deadline = deadline
    }

    /// True once nobody waits any more; such a call need not be sent.
    var hasEnded: Bool {
        state.withLock { state in
            if case .ended = state { true } else { false }
        }
    }

    /// Hands the call to `enqueue` and waits for its outcome; `enqueue` answers an error when it refuses the call.
    func outcome(enqueue: (Call) -> RedisError?) async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { waiter in
                guard begin(waiter) else { return waiter.resume(returning: .failure(.cancelled)) }
                if let refusal = enqueue(self) { finish(.failure(refusal)) }
            }
        } onCancel: {
            finish(.failure(.cancelled))
        }
    }

    /// Ends the call. Later endings are ignored.
    func finish(_ outcome: Outcome) {
        let waiter: Waiter? = state.withLock { state in
            defer { state = .ended }
            if case .waiting(let waiter) = state { return waiter }
            return nil
        }
        waiter?.resume(returning: outcome)
    }

    private func begin(_ waiter: CheckedContinuation<Outcome, Never>) -> Bool {
        state.withLock { state in
            guard case .created = state else { return false }
            state = .waiting(waiter)
            return true
        }
    }
}
