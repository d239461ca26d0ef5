internal import Dispatch
internal import Synchronization

/// Hashes and checks passwords on threads of its own, a few at a time: each takes a good part of a second of CPU and
/// tens of megabytes, which must neither stall requests nor, by their number, exhaust the machine.
package final class PasswordHasher: Sendable {
    /// Passwords hashed at once.
    package static let lanesDefault = 2
    /// Passwords waiting for that; more are refused.
    package static let waitingMax = 32

    private let parameters: PasswordHash.Parameters
    private let nobody: PasswordHash
    private let lanes: [DispatchQueue]
    private let loads: Mutex<[Int]>

    package init(parameters: PasswordHash.Parameters = .standard, lanes count: Int = lanesDefault) {
        precondition(count > 0, "Passwords are hashed somewhere.")
        self.parameters = parameters
        nobody = .nobody(parameters)
        lanes = (1...count).map { DispatchQueue(label: "golden.passwords.\($0)") }
        loads = Mutex(Array(repeating: 0, count: count))
    }

    /// - Throws: 503 when too many wait already.
    package func hash(_ password: String) async throws -> PasswordHash {
        try await run { [parameters] in try PasswordHash(of: password, parameters: parameters) }
    }

    /// - Parameter stored: nil when there is no such user; that takes just as long, and is false.
    /// - Throws: 503 when too many wait already.
    package func check(_ password: String, against stored: PasswordHash?) async throws -> Bool {
        try await run { [nobody] in
            let matches = try (stored ?? nobody).matches(password)
            return matches && stored != nil
        }
    }

    private func run<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        guard let lane = take() else {
            throw Problem(.unavailable, "Too many passwords are being checked; try again.", retryAfterSeconds: 1)
        }
        let result: Swift.Result<Result, any Error> = await withCheckedContinuation { continuation in
            lanes[lane].async {
                let result = Swift.Result { try work() }
                self.loads.withLock { $0[lane] -= 1 }
                continuation.resume(returning: result)
            }
        }
        return try result.get()
    }

    /// The lane with the least before it.
    private func take() -> Int? {
        loads.withLock { loads in
            guard loads.reduce(0, +) < lanes.count + Self.waitingMax else { return nil }
            let lane = loads.indices.min { loads[$0] < loads[$1] } ?? 0
            loads[lane] += 1
            return lane
        }
    }
}
