package import Contracts
package import FoundationEssentials

/// One event on its way to one receiver, for people.
package struct WebhookDelivery: Sendable, Equatable {
    package enum State: String, Sendable, CaseIterable {
        /// Waits for its time, or is under way.
        case pending
        /// Waits for its receiver's circuit breaker.
        case parked
        case delivered
        /// Given up; may be replayed.
        case failed

        package var isOpen: Bool { self == .pending || self == .parked }
    }

    /// What the last attempt brought.
    package struct Result: Sendable, Equatable {
        /// The receiver's; nil when it did not answer.
        package var status: Int?
        /// Why it failed, as a stable word; nil after success.
        package var error: String?
        /// The start of the receiver's answer.
        package var response: String?
        package var milliseconds: Int?

        package init(status: Int? = nil, error: String? = nil, response: String? = nil, milliseconds: Int? = nil) {
            self.status = status
            self.error = error
            self.response = response
            self.milliseconds = milliseconds
        }
    }

    /// The `webhook-id` of every attempt.
    package let id: UUID
    package let tenant: TenantID
    /// Nil: the task's own callback.
    package let webhook: UUID?
    package let task: TaskID
    package let sequence: Int
    package let kind: String
    package let url: String
    package let state: State
    package let attempts: Int
    package let dueAt: Date
    package let isUnderWay: Bool
    package let result: Result
    package let attemptedAt: Date?
    package let createdAt: Date
    package let endedAt: Date?
}

/// Which deliveries a listing shows.
package struct DeliveryFilter: Sendable {
    package let tenant: TenantID
    package var webhook: UUID?
    package var task: TaskID?
    package var state: WebhookDelivery.State?
    package var before: (createdAt: Date, id: UUID)?
    package var limit: Int

    package init(tenant: TenantID, limit: Int) {
        self.tenant = tenant
        self.limit = limit
    }
}

/// A delivery that this process has taken to attempt it, with what is to be sent.
package struct LeasedDelivery: Sendable {
    package struct Event: Sendable {
        package let at: Date
        package let attempt: Int
        package let data: JSON
    }

    package struct Task: Sendable {
        package let project: String
        package let name: String?
        package let workflow: String
        /// Of a completed task, unless it is larger than `LeaseDeliveries.outputBytesMax`.
        package let output: JSON?
        /// The trace of the request that submitted it.
        package let traceparent: String?
    }

    package struct Receiver: Sendable {
        package let isActive: Bool
        package let secret: SealedSecret

        package init(isActive: Bool, secret: SealedSecret) {
            self.isActive = isActive
            self.secret = secret
        }
    }

    package let id: UUID
    /// Proves the right to conclude it.
    package let lease: UUID
    package let tenant: TenantID
    package let webhook: UUID?
    package let task: TaskID
    package let sequence: Int
    package let kind: String
    package let url: String
    package let target: DeliveryTarget
    /// Counts from 1.
    package let attempt: Int
    /// Nil when the history was purged.
    package let event: Event?
    package let taskFacts: Task?
    /// Nil when the webhook was removed, or the tenant has no secret for callbacks yet.
    package let receiver: Receiver?

    /// What is done for it hangs on the task in its trace.
    package var trace: String? { TraceContext(of: task, submittedIn: taskFacts?.traceparent)?.traceparent }
}

/// Where deliveries of one tenant go: what is taken, guarded and parked together, so that no tenant's receiver holds up
/// another's, though both lie on one host.
package struct DeliveryTarget: Sendable, Hashable, CustomStringConvertible {
    package let tenant: TenantID
    /// With the port when it is not the scheme's own.
    package let host: String

    package init(tenant: TenantID, host: String) {
        self.tenant = tenant
        self.host = host
    }

    package var description: String { "\(tenant):\(host)" }
}

/// What waits for one target.
package struct TargetBacklog: Sendable, Equatable {
    package let target: DeliveryTarget
    /// Pending and due, counted to `TargetBacklog.countMax`.
    package let due: Int
    package let hasParked: Bool
    /// How long the oldest of them has been due.
    package let oldestSeconds: Double

    package static let countMax = 1000
}

/// How many deliveries to take for a target, of which state.
package struct DeliveryGrant: Sendable {
    package let target: DeliveryTarget
    package let state: WebhookDelivery.State
    package let count: Int

    package init(target: DeliveryTarget, state: WebhookDelivery.State, count: Int) {
        self.target = target
        self.state = state
        self.count = count
    }
}

package enum ReplayOutcome: Sendable, Equatable {
    case replayed(WebhookDelivery)
    /// It has not ended yet; nothing was changed.
    case stillOpen(WebhookDelivery)
    case unknown
}
