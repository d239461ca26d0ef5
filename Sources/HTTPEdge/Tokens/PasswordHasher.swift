internal import Dispatch
internal import Synchronization

/// Hashes and checks passwords on threads of its own, a few at a time: each takes a good part of a second of CPU and
/// tens of megabytes, which must neither stall requests nor, by their number, exhaust the machine.
package final class PasswordHasher: Sendable {
    /// Passwords hashed at once.
    package static let lanesDefault = 2
    /// Passwords waiting for that, of all callers; more are refused.
    package static let waitingMax = 32

    private struct State {
        /// How many each lane has before it.
        var loads: [Int]
        /// Whose they are, by the rule of `FairShare`: a guesser's many keep nobody else's out.
        var places: FairShare<String>
    }

    private let parameters: PasswordHash.Parameters
    private let nobody: PasswordHash
    private let lanes: [DispatchQueue]
    private let state: Mutex<State>

    package init(parameters: PasswordHash.Parameters = .standard, lanes count: Int = lanesDefault) {
        precondition(count > 0, "Passwords are hashed somewhere.")
        self.parameters = parameters
        nobody = .nobody(parameters)
        lanes = (1...count).map { DispatchQueue(label: "golden.passwords.\($0)") }
        let places = FairShare<String>(of: count + Self.waitingMax)
        state = Mutex(State(loads: Array(repeating: 0, count: count), places: places))
    }

    /// - Parameter caller: who wants it, such as an address: told apart from others that wait.
    /// - Throws: 503 when too many of the caller's wait already.
    package func hash(_ password: String, for caller: String) async throws -> PasswordHash {
        try await run(for: caller) { [parameters] in try PasswordHash(of: password, parameters: parameters) }
    }

    /// - Parameters:
    ///   - stored: nil when there is no such user; that takes just as long, and is false.
    ///   - caller: who wants it, such as an address: told apart from others that wait.
    /// - Throws: 503 when too many of the caller's wait already.
    package func check(_ password: String, against stored: PasswordHash?, for caller: String) async throws -> Bool {
        try await run(for: caller) { [nobody] in
            let matches = try (stored ?? nobody).matches(password)
            return matches && stored != nil
        }
    }

    private func run<Result: Sendable>(
        for caller: String, _ work: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        guard let lane = take(for: caller) else {
            throw Problem(.unavailable, "Too many passwords are being checked; try again.", retryAfterSeconds: 1)
        }
        let result: Swift.Result<Result, any Error> = await withCheckedContinuation { continuation in
            lanes[lane].async {
                let result = Swift.Result { try work() }
                self.giveBack(lane, of: caller)
                continuation.resume(returning: result)
            }
        }
        return try result.get()
    }

    /// The lane with the least before it.
    private func take(for caller: String) -> Int? {
        state.withLock { state in
            guard state.places.take(for: caller) else { return nil }
            let loads = state.loads
            let lane = loads.indices.min { loads[$0] < loads[$1] } ?? 0
            state.loads[lane] += 1
            return lane
        }
    }

    private func giveBack(_ lane: Int, of caller: String) {
        state.withLock { state in
            state.loads[lane] -= 1
            state.places.giveBack(of: caller)
        }
    }
}
