internal import Storage
internal import Synchronization

/// Which projects are known to have a budget over them, so that their tasks are held for at the first attempt.
///
/// A hint only. Who is missing here is found out by the database, which accepts no task without a hold where there is a
/// budget; a budget is never taken away again.
final class BudgetedProjects: Sendable {
    /// Beyond this the hints are forgotten, and learned again.
    private static let countMax = 10_000

    private let known = Mutex<Set<BudgetAccount.Key>>([])

    func contains(_ account: BudgetAccount.Key) -> Bool { known.withLock { $0.contains(account) } }

    func insert(_ account: BudgetAccount.Key) {
        known.withLock { known in
            if known.count >= Self.countMax { known.removeAll() }
            known.insert(account)
        }
    }
}
