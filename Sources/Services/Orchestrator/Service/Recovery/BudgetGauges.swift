internal import Bootstrap
internal import Contracts
internal import Logging
internal import Storage

/// Shows the tenants' accounts as `budget_tokens{tenant,state}`: their own where they have one, else their projects'
/// together.
struct BudgetGauges: Sendable {
    static let interval: Duration = .seconds(10)
    /// Accounts read in one turn; a metric holds no more series than that anyway.
    static let accountsMax = 1000

    private let budgets: BudgetStore
    private let tokens: GaugeFamily
    private let logger: Logger

    init(budgets: BudgetStore, registry: MetricsRegistry, logger: Logger) {
        self.budgets = budgets
        self.logger = logger
        tokens = registry.gauge(
            "budget_tokens", "Tokens of each tenant, by state (limit, used, reserved, overage).",
            labels: ["tenant", "state"]
        )
    }

    /// Reads the accounts in turns until cancelled.
    func run() async throws {
        while true {
            do { show(try await budgets.allAccounts(limit: Self.accountsMax)) } catch {
                try Task.checkCancellation()
                logger.debug("the accounts could not be read for their metric", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    private func show(_ accounts: [BudgetAccount]) {
        for (tenant, accounts) in Dictionary(grouping: accounts, by: \.key.tenant) {
            let own = accounts.filter { $0.key.project == BudgetAccount.tenantWide }
            let shown = own.isEmpty ? accounts : own
            let sums = [
                ("limit", shown.reduce(0) { $0 + $1.totalLimit }), ("used", shown.reduce(0) { $0 + $1.used }),
                ("reserved", shown.reduce(0) { $0 + $1.reserved }), ("overage", shown.reduce(0) { $0 + $1.overage }),
            ]
            for (state, sum) in sums { tokens[tenant.text, state].set(sum) }
        }
    }
}
