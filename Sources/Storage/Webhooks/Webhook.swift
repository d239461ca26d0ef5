package import Contracts
package import FoundationEssentials

/// Somebody who wants to hear of events: a standing subscription, or the tenant's one secret for tasks' callbacks.
package struct Webhook: Sendable, Equatable {
    package static let descriptionMax = 200
    /// Subscriptions of one tenant.
    package static let perTenantMax = 20

    package enum Purpose: Sendable, Equatable {
        case subscription(url: WebhookURL, events: [TaskEvent.Kind], description: String?)
        /// Signs what goes to the `callback_url` of the tenant's tasks.
        case callbacks
    }

    package enum State: Sendable, Equatable {
        case active
        case disabled(reason: String, at: Date)
    }

    package let id: UUID
    package let tenant: TenantID
    package let purpose: Purpose
    package var state: State
    package var secret: SealedSecret
    package let createdBy: String
    package let createdAt: Date

    package init(
        id: UUID, tenant: TenantID, purpose: Purpose, state: State = .active, secret: SealedSecret, createdBy: String,
        createdAt: Date
    ) {
        self.id = id
        self.tenant = tenant
        self.purpose = purpose
        self.state = state
        self.secret = secret
        self.createdBy = createdBy
        self.createdAt = createdAt
    }

    package var url: WebhookURL? {
        switch purpose {
        case .subscription(let url, _, _): url
        case .callbacks: nil
        }
    }
}

/// A signing secret as it is kept; for a while after a rotation, with the one before.
package struct SealedSecret: Sendable, Equatable {
    package struct Previous: Sendable, Equatable {
        package let sealed: [UInt8]
        package let until: Date

        package init(sealed: [UInt8], until: Date) {
            self.sealed = sealed
            self.until = until
        }
    }

    package let sealed: [UInt8]
    package let previous: Previous?
    package let changedAt: Date

    package init(sealed: [UInt8], previous: Previous? = nil, changedAt: Date) {
        self.sealed = sealed
        self.previous = previous
        self.changedAt = changedAt
    }
}

/// Which webhook is meant.
package enum WebhookReference: Sendable, Equatable {
    case subscription(UUID)
    /// The secret for tasks' callbacks.
    case callbacks
}
