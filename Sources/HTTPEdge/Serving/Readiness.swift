package import Logging
internal import Synchronization

/// Whether a service can do its work now: each dependency's own check, run side by side, each with a timeout.
///
/// The answer is kept for `maxAge`, so that anybody may ask as often as they like.
package final class Readiness: Sendable {
    package struct Check: Sendable {
        package let name: String
        package let timeout: Duration
        /// Without it the service can do nothing. Others are shown, and leave the service ready: it degrades.
        package let isRequired: Bool
        /// Throws when the dependency cannot be used. Must end when its task is cancelled.
        package let run: @Sendable () async throws -> Void

        package init(
            _ name: String, timeout: Duration = .seconds(2), isRequired: Bool = true,
            run: @escaping @Sendable () async throws -> Void
        ) {
            self.name = name
            self.timeout = timeout
            self.isRequired = isRequired
            self.run = run
        }
    }

    /// What one check said.
    package enum Outcome: String, Sendable {
        case ok
        case failed
        case timedOut = "timed_out"
    }

    package struct Report: Sendable {
        /// By check, in the checks' order.
        package let outcomes: [(name: String, outcome: Outcome)]
        package let isDraining: Bool
        /// Every required check is ok, and the service is not shutting down.
        package let isReady: Bool
    }

    private let checks: [Check]
    private let drain: Drain
    private let logger: Logger
    private let maxAge: Duration
    private let last = Mutex<(at: ContinuousClock.Instant, outcomes: [Outcome])?>(nil)

    package init(_ checks: [Check], drain: Drain, logger: Logger, maxAge: Duration = .seconds(1)) {
        self.checks = checks
        self.drain = drain
        self.logger = logger
        self.maxAge = maxAge
    }

    package func report() async -> Report {
        let outcomes = await outcomes()
        let isAble = zip(checks, outcomes).allSatisfy { $1 == .ok || !$0.isRequired }
        let isDraining = drain.hasBegun
        return Report(
            outcomes: Array(zip(checks.map(\.name), outcomes)), isDraining: isDraining, isReady: isAble && !isDraining
        )
    }

    private func outcomes() async -> [Outcome] {
        let now = ContinuousClock.now
        if let last = last.withLock({ $0 }), now - last.at < maxAge { return last.outcomes }
        var outcomes = [Outcome](repeating: .failed, count: checks.count)
        await withTaskGroup(of: (Int, Outcome).self) { group in
            for (index, check) in checks.enumerated() {
                group.addTask { (index, await self.outcome(of: check)) }
            }
            for await (index, outcome) in group { outcomes[index] = outcome }
        }
        last.withLock { $0 = (ContinuousClock.now, outcomes) }
        return outcomes
    }

    private func outcome(of check: Check) async -> Outcome {
        await withTaskGroup(of: Outcome.self) { group in
            group.addTask {
                do {
                    try await check.run()
                    return .ok
                } catch {
                    // The why is for the log: anybody may read the answer.
                    self.logger.warning("Not ready", metadata: ["check": "\(check.name)", "error": "\(error)"])
                    return .failed
                }
            }
            group.addTask {
                do { try await Task.sleep(for: check.timeout) } catch { return .failed }
                return .timedOut
            }
            let first = await group.next() ?? .failed
            group.cancelAll()
            return first
        }
    }
}
