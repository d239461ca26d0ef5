internal import Contracts
internal import HTTPEdge
internal import Synchronization

/// Who waits on this replica for news of something, of a task for example: bounded, and shared between tenants by the
/// rule of `FairShare`, so that none takes the places of all others.
final class Watchers<Key: Hashable & Sendable, Signal: Sendable>: Sendable {
    private struct State {
        var watchers: [Key: [Int: AsyncStream<Signal>.Continuation]] = [:]
        var places: FairShare<TenantID>
        var nextNumber = 0
    }

    private let bufferMax: Int
    private let state: Mutex<State>

    /// - Parameters:
    ///   - max: watchers at once.
    ///   - bufferMax: signals waiting for one of them; beyond that it loses the oldest.
    init(max: Int, bufferMax: Int) {
        self.bufferMax = bufferMax
        state = Mutex(State(places: FairShare(of: max)))
    }

    /// Signals about `key` from now on; nil when the tenant has as many places as are free. Ends with the consumer.
    func watch(_ key: Key, for tenant: TenantID) -> AsyncStream<Signal>? {
        let (stream, continuation) = AsyncStream<Signal>.makeStream(bufferingPolicy: .bufferingNewest(bufferMax))
        let number = state.withLock { state -> Int? in
            guard state.places.take(for: tenant) else { return nil }
            state.nextNumber += 1
            state.watchers[key, default: [:]][state.nextNumber] = continuation
            return state.nextNumber
        }
        guard let number else { return nil }
        continuation.onTermination = { [weak self] _ in self?.forget(key, number, of: tenant) }
        return stream
    }

    private func forget(_ key: Key, _ number: Int, of tenant: TenantID) {
        state.withLock { state in
            guard state.watchers[key]?.removeValue(forKey: number) != nil else { return }
            state.places.giveBack(of: tenant)
            if state.watchers[key]?.isEmpty == true { state.watchers[key] = nil }
        }
    }

    var count: Int { state.withLock { $0.places.taken } }

    /// What is watched.
    var keys: [Key] { state.withLock { Array($0.watchers.keys) } }

    func isWatched(_ key: Key) -> Bool { state.withLock { $0.watchers[key] != nil } }

    /// To all who watch `key`; never waits.
    func tell(_ signal: Signal, about key: Key) {
        let chosen = state.withLock { state in state.watchers[key].map { Array($0.values) } ?? [] }
        for watcher in chosen { watcher.yield(signal) }
    }

    /// To those whose number is chosen, whatever they watch; never waits.
    func tell(_ signal: Signal, where isChosen: (_ number: Int) -> Bool) {
        let chosen = state.withLock { state in
            state.watchers.values.flatMap { $0.filter { isChosen($0.key) }.values }
        }
        for watcher in chosen { watcher.yield(signal) }
    }
}
