internal import Redis
internal import Synchronization

/// Lets equal requests that are made at the same time be decided by one call to Redis.
///
/// The first request of a kind asks at once; what arrives until its answer goes together as the next call. So a caller
/// who asks once waits for nobody, and one who asks thousands of times a second costs Redis a fraction of that.
final class RateCombiner: Sendable {
    /// What makes two requests equal.
    private struct Kind: Hashable {
        let keys: [String]
        let cells: [CellRate.Cell]
    }

    private enum Turn {
        /// Ask, for yourself and for those.
        case ask([Waiter])
        case decided(Result<CellRate.Outcome, RedisError>)
    }

    private typealias Waiter = CheckedContinuation<Turn, Never>

    private let redis: RedisConnection
    private let now: @Sendable () -> Int64
    /// Who waits behind a call of their kind; a kind that nobody asks for is absent.
    private let waiting = Mutex<[Kind: [Waiter]]>([:])

    init(redis: RedisConnection, now: @escaping @Sendable () -> Int64) {
        self.redis = redis
        self.now = now
    }

    /// Decides one request. Whoever waits behind another's call does so at most twice the command's timeout, cancelled
    /// or not.
    func decide(keys: [String], cells: [CellRate.Cell]) async throws(RedisError) -> CellRate.Outcome {
        let kind = Kind(keys: keys, cells: cells)
        let turn: Turn = await withCheckedContinuation { waiter in
            let isFirst = waiting.withLock { waiting in
                if waiting[kind] != nil {
                    waiting[kind]?.append(waiter)
                    return false
                }
                waiting[kind] = []
                return true
            }
            if isFirst { waiter.resume(returning: .ask([])) }
        }
        switch turn {
        case .decided(let result): return try result.get()
        case .ask(let others): return try await decide(kind, with: others)
        }
    }

    private func decide(_ kind: Kind, with others: [Waiter]) async throws(RedisError) -> CellRate.Outcome {
        do throws(RedisError) {
            let outcomes = try await ask(kind, requests: 1 + others.count)
            for (waiter, outcome) in zip(others, outcomes.dropFirst()) {
                waiter.resume(returning: .decided(.success(outcome)))
            }
            handOver(kind)
            return outcomes[0]
        } catch {
            if error.code == .cancelled, let next = others.first {
                // Who leaves must not take the others' answer along. The worst is that Redis counts them twice.
                next.resume(returning: .ask(Array(others.dropFirst())))
            } else {
                for waiter in others { waiter.resume(returning: .decided(.failure(error))) }
                handOver(kind)
            }
            throw error
        }
    }

    /// Lets the first of those who came during a call make the next one, for all of them.
    private func handOver(_ kind: Kind) {
        let waiters = waiting.withLock { waiting in
            let waiters = waiting[kind] ?? []
            waiting[kind] = waiters.isEmpty ? nil : []
            return waiters
        }
        waiters.first?.resume(returning: .ask(Array(waiters.dropFirst())))
    }

    /// One outcome per request, in their order.
    private func ask(_ kind: Kind, requests: Int) async throws(RedisError) -> [CellRate.Outcome] {
        let reply = try await redis.evaluate(
            RateScript.script, keys: kind.keys, arguments: RateScript.arguments(kind.cells, requests: requests)
        )
        guard let outcomes = RateScript.outcomes(reply, cells: kind.cells, requests: requests, now: now()) else {
            throw RedisError(.protocolViolation, "The rate script's answer has an unknown shape.")
        }
        return outcomes
    }
}
