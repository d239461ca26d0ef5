internal import Bootstrap
internal import FoundationEssentials
internal import Logging
internal import Storage

/// Adds up the ledger of every account at start-up and once a day, and says where an account does not match it.
///
/// What `golden budget verify` does when asked. Runs on the leading replica; reads only.
struct LedgerCheck: Sendable {
    static let interval: Duration = .seconds(86_400)
    /// After one that failed.
    static let retryInterval: Duration = .seconds(300)
    /// Differences named in the log; the metric counts all.
    static let namedMax = 10

    private let budgets: BudgetStore
    private let differences: Gauge
    private let checkedAt: Gauge
    private let logger: Logger

    init(budgets: BudgetStore, registry: MetricsRegistry, logger: Logger) {
        self.budgets = budgets
        self.logger = logger
        differences =
            registry.gauge(
                "budget_ledger_differences", "Sums of accounts that differ from their ledger, as last added up.")[]
        checkedAt =
            registry.gauge(
                "budget_ledger_checked_timestamp_seconds",
                "When this instance last added up the ledger, in Unix time; 0 when it never did.")[]
    }

    /// What was found is shown no longer by who leads no longer: the next to lead looks for itself.
    func endTerm() { differences.set(0) }

    func check() async throws {
        let found = try await budgets.verify(tenant: nil)
        differences.set(found.count)
        checkedAt.set(Int(Date().timeIntervalSince1970))
        for difference in found.prefix(Self.namedMax) {
            logger.error(
                "an account does not match its ledger",
                metadata: [
                    "tenant": "\(difference.account.tenant)", "project": "\(difference.account.project)",
                    "sum": "\(difference.sum.rawValue)", "found": "\(difference.found)",
                    "expected": "\(difference.expected)",
                ]
            )
        }
        if found.isEmpty { logger.info("every account matches its ledger") }
    }
}
