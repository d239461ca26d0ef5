package import Contracts
internal import Crypto
package import FoundationEssentials

/// Tokens held for work that is about to be done: pending, then committed, released or expired, once.
///
/// A reservation that was denied is kept too, so that asking again is answered alike.
package struct Reservation: Sendable, Equatable {
    package struct Key: Hashable, Sendable {
        package let tenant: TenantID
        package let project: ProjectID
        package let request: BudgetRequestID

        package init(tenant: TenantID, project: ProjectID, request: BudgetRequestID) {
            self.tenant = tenant
            self.project = project
            self.request = request
        }

        /// The hold of a task.
        init(of task: TaskRecord) {
            self.init(tenant: task.tenant, project: task.project, request: BudgetRequestID(of: task.id))
        }
    }

    package enum State: String, Sendable, CaseIterable {
        case pending, committed, released, expired, denied
    }

    package let key: Key
    package let principal: String
    package let task: TaskID?
    /// Tokens held while pending.
    package internal(set) var amount: Int
    package internal(set) var state: State
    /// Tokens used, once a commit said so.
    package internal(set) var actual: Int?
    package let createdAt: Date
    package let expiresAt: Date
    package internal(set) var settledAt: Date?
    /// The accounts it is charged to, by their projects.
    package internal(set) var accounts: [ProjectID]
    /// Why it was denied, as it stood then.
    package internal(set) var denial: BudgetDenial?

    /// The part of `actual` that no hold covered.
    package var overage: Int {
        switch state {
        case .committed: max(0, (actual ?? 0) - amount)
        case .expired: actual ?? 0
        case .pending, .released, .denied: 0
        }
    }
}

/// A request to hold tokens.
package struct ReservationRequest: Sendable, Equatable {
    package static let secondsDefault = 600
    package static let secondsRange: ClosedRange<Int> = 1...86_400
    /// Ten years.
    private static let secondsForTasks = 10 * 366 * 86_400

    package let key: Reservation.Key
    /// Tokens, 1 to `BudgetAccount.tokensMax`.
    package let amount: Int
    /// Until the hold expires by itself.
    package let timeToLiveSeconds: Int
    package let task: TaskID?
    package let principal: String

    /// - Precondition: amount and time lie within their ranges.
    package init(
        key: Reservation.Key, amount: Int, timeToLiveSeconds: Int = secondsDefault, task: TaskID? = nil,
        principal: String
    ) {
        precondition((1...BudgetAccount.tokensMax).contains(amount), "An amount is 1 to \(BudgetAccount.tokensMax).")
        precondition(Self.secondsRange.contains(timeToLiveSeconds), "A hold lives 1 to 86400 seconds.")
        self.key = key
        self.amount = amount
        self.timeToLiveSeconds = timeToLiveSeconds
        self.task = task
        self.principal = principal
    }

    /// Tokens for a task, held until its end settles them: there is no time after which a task's hold is abandoned.
    ///
    /// - Precondition: the task has a budget.
    package init(for record: TaskRecord) {
        guard let amount = record.budgetTokens else { preconditionFailure("A hold is for a task with a budget.") }
        key = Reservation.Key(of: record)
        self.amount = amount
        timeToLiveSeconds = Self.secondsForTasks
        task = record.id
        principal = record.principal
    }

    /// SHA-256 of what is asked for, so that a request id used for something else is noticed.
    var fingerprint: [UInt8] {
        // Only the last part may hold a separator, so that no two requests run together to the same text.
        let text = "\(amount)|\(timeToLiveSeconds)|\(task.map(\.description) ?? "")|\(key.project)|\(key.request)"
        return Array(SHA256.hash(data: Array(text.utf8)))
    }
}

/// Why tokens were refused: the account that has no room, and who holds it.
package struct BudgetDenial: Sendable, Equatable {
    package enum Reason: String, Sendable {
        /// Usage, holds and this amount together pass the limit.
        case exhausted
        /// An overage blocks the account until its limit is raised.
        case blocked
    }

    /// A reservation in the way.
    package struct Hold: Sendable, Equatable {
        package let project: String
        package let request: String
        package let amount: Int
        package let expiresAt: String
    }

    /// Holds named in one denial.
    package static let holdsMax = 10

    package let reason: Reason
    /// The account's project; `BudgetAccount.tenantWide` for the tenant's own.
    package let project: ProjectID
    package let totalLimit: Int
    package let used: Int
    package let reserved: Int
    /// The oldest, at most `holdsMax`.
    package internal(set) var holds: [Hold] = []
}
