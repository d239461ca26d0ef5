internal import Contracts
internal import ServiceLifecycle
internal import Storage

/// Corrects the tokens-per-minute counts when tasks end: by what they used instead of the estimate they were accepted
/// with.
///
/// A correction that is lost with its process leaves the tenant charged with too much, by at most the estimate and
/// until the rate has given it back, or with too little, by at most one burst: `settle` books no more. Budgets, which
/// are money, are settled in the task's own transaction.
final class TokenSettler: Service {
    /// Corrections that wait for Redis; later ones are dropped then.
    static let queuedMax = 4096

    let limits: RateLimits
    /// Charged for a task that names no budget of its own.
    let estimate: Int
    private let queue: AsyncStream<[TenantID: Int]>
    private let enqueue: AsyncStream<[TenantID: Int]>.Continuation

    init(limits: RateLimits, estimate: Int) {
        self.limits = limits
        self.estimate = estimate
        (queue, enqueue) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.queuedMax))
    }

    func run() async throws {
        for await differences in queue.cancelOnGracefulShutdown() { await limits.settleTokens(differences) }
    }

    /// What a submission is charged with; 0 where nothing limits tokens.
    func charge(of submission: TaskSubmission) -> Int {
        limits.table.countsTokens ? submission.budgetTokens ?? estimate : 0
    }

    /// A submission that was charged and is not to be: it was not accepted, or its parent was charged for it.
    func giveBack(_ tokens: Int, tenant: TenantID) {
        if tokens > 0 { enqueue.yield([tenant: -tokens]) }
    }

    /// Looks for tasks that ended among committed changes; never waits.
    ///
    /// A part of a task with a budget is charged nothing: what it gives back here, its parent's lowered budget keeps.
    func settle(_ changes: [TaskChange]) {
        guard limits.table.countsTokens else { return }
        var differences: [TenantID: Int] = [:]
        for change in changes {
            guard change.events.contains(where: { $0.kind.endsTask }) else { continue }
            let task = change.task
            differences[task.tenant, default: 0] += task.usageTokens - (task.budgetTokens ?? estimate)
        }
        if !differences.isEmpty { enqueue.yield(differences) }
    }
}
