package import Contracts
package import FoundationEssentials

/// What one tenant may spend in one project, or in all of them together, in tokens.
///
/// A tenant's whole budget is a row of the same table under the project name `all-projects`. The name follows the
/// table's own pattern, so nothing about the schema or the customer's SQL changes: `… WHERE tenant_id = 'x'` shows,
/// and raises, the tenant's budget along with its projects'. Whoever names that project in a request is charged to the
/// tenant's budget alone, which no other project escapes either; so the name gives nobody more room.
///
/// An account that does not exist limits nothing. A reservation is charged to the accounts that exist when it is made,
/// and settled on those: one opened later counts the usage booked from then on, never a hold it has not seen.
package struct BudgetAccount: Sendable, Equatable {
    /// The project under which a tenant's whole budget is kept.
    package static let tenantWide = ProjectID(literal: "all-projects")
    /// The largest limit, reservation and usage accepted, in tokens: sums of millions of them fit 64 bits.
    package static let tokensMax = 1_000_000_000_000

    package struct Key: Hashable, Sendable {
        package let tenant: TenantID
        package let project: ProjectID

        package init(tenant: TenantID, project: ProjectID) {
            self.tenant = tenant
            self.project = project
        }
    }

    package let key: Key
    package let totalLimit: Int
    package internal(set) var used: Int
    package internal(set) var reserved: Int
    /// The part of `used` that came above or after a reservation.
    package internal(set) var overage: Int
    /// Set by an overage: nothing new is reserved until the limit is raised.
    package internal(set) var isBlocked: Bool
    /// Counts changes of the limit.
    package let version: Int
    package let createdAt: Date
    package let updatedAt: Date

    /// What could be reserved now.
    package var available: Int {
        guard !isBlocked, used <= totalLimit, reserved <= totalLimit - used else { return 0 }
        return totalLimit - used - reserved
    }

    /// The accounts a project's reservations are charged to where they exist, the tenant's last.
    package static func keys(tenant: TenantID, project: ProjectID) -> [Key] {
        let own = Key(tenant: tenant, project: project)
        return project == tenantWide ? [own] : [own, Key(tenant: tenant, project: tenantWide)]
    }
}

/// What an account's sums should be by its ledger and holds, where they differ from what its row says.
package struct BudgetDifference: Sendable, Equatable {
    package enum Sum: String, Sendable {
        case totalLimit = "total_limit"
        case used = "current_usage"
        case reserved
        /// The pending reservations charged to the account, against its `reserved`.
        case holds
    }

    package let account: BudgetAccount.Key
    package let sum: Sum
    /// What the account's row says.
    package let found: Int
    /// What ledger or holds add up to.
    package let expected: Int
}
