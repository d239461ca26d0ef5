internal import Synchronization

/// Room for so many at a time, which is given in the order it is asked for.
final class Places: Sendable {
    /// Free again once nobody holds it any more, however that came about.
    final class Place: Sendable {
        private let places: Places

        fileprivate init(in places: Places) {
            self.places = places
        }

        deinit { places.free() }
    }

    private struct State {
        var left: Int
        var waiting: [(number: Int, continuation: CheckedContinuation<Void, any Error>)] = []
        var nextNumber = 0
    }

    private let state: Mutex<State>

    init(_ count: Int) {
        state = Mutex(State(left: count))
    }

    /// Waits until there is one.
    ///
    /// - Throws: `CancellationError` alone.
    func take() async throws -> Place {
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { enter(number, $0) }
        } onCancel: {
            leave(number)
        }
        return Place(in: self)
    }

    private func enter(_ number: Int, _ continuation: CheckedContinuation<Void, any Error>) {
        let outcome = state.withLock { state -> Result<Void, any Error>? in
            // Whoever is cancelled from here on is found waiting.
            if Task.isCancelled { return .failure(CancellationError()) }
            guard state.left > 0 else {
                state.waiting.append((number, continuation))
                return nil
            }
            state.left -= 1
            return .success(())
        }
        if let outcome { continuation.resume(with: outcome) }
    }

    private func leave(_ number: Int) {
        let left = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            guard let index = state.waiting.firstIndex(where: { $0.number == number }) else { return nil }
            return state.waiting.remove(at: index).continuation
        }
        left?.resume(throwing: CancellationError())
    }

    private func free() {
        let next = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            guard !state.waiting.isEmpty else {
                state.left += 1
                return nil
            }
            return state.waiting.removeFirst().continuation
        }
        next?.resume()
    }
}
