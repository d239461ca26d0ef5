internal import Synchronization

/// What one reader of a listener has not read yet. Equal messages are kept once; when it overflows, all of them are
/// replaced by one `.reconnected`.
final class NotificationBuffer: Sendable {
    private struct State {
        var queue: [PostgresNotification] = []
        var known: Set<PostgresNotification> = []
        var reader: CheckedContinuation<PostgresNotification?, Never>?
        var isFinished = false
    }

    /// Messages kept for a reader that is behind.
    static let capacity = 1024

    private let state = Mutex(State())

    func offer(_ element: PostgresNotification) {
        let reader: CheckedContinuation<PostgresNotification?, Never>? = state.withLock { state in
            guard !state.isFinished else { return nil }
            if let reader = state.reader {
                state.reader = nil
                return reader
            }
            var element = element
            if state.queue.count >= Self.capacity || element == .reconnected {
                // It says "read everything again", which covers all that was queued.
                state.queue.removeAll()
                state.known.removeAll()
                element = .reconnected
            }
            if state.known.insert(element).inserted { state.queue.append(element) }
            return nil
        }
        reader?.resume(returning: element)
    }

    /// The next element; nil after `finish()` once all are read.
    func next() async -> PostgresNotification? {
        await withCheckedContinuation { continuation in
            enum Action { case wait, answer(PostgresNotification?) }
            let action: Action = state.withLock { state in
                if !state.queue.isEmpty {
                    let element = state.queue.removeFirst()
                    state.known.remove(element)
                    return .answer(element)
                }
                guard !state.isFinished, state.reader == nil else { return .answer(nil) }
                state.reader = continuation
                return .wait
            }
            if case .answer(let element) = action { continuation.resume(returning: element) }
        }
    }

    func finish() {
        let reader: CheckedContinuation<PostgresNotification?, Never>? = state.withLock { state in
            state.isFinished = true
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: nil)
    }
}
