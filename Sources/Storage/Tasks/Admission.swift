package import Contracts

/// A task about to be accepted, with everything that commits together with it.
package struct Admission: Sendable {
    package let task: TaskRecord
    package let input: JSON
    package let events: [TaskEvent]
    package let outbox: [OutboxMessage]
    package let key: IdempotencyKey?
    /// Tokens to hold for it; nil while nobody limits what its tenant and project may use.
    package let hold: ReservationRequest?
    /// What the caller gets, and gets again under the same key.
    package let response: JSON
    package let location: String
    /// What the audit log is told when the task is accepted.
    package let audit: AuditEntry?

    /// Whose idempotency key it is.
    var keyOwner: String { key?.owner ?? task.principal }

    package init(
        task: TaskRecord, input: JSON, events: [TaskEvent], outbox: [OutboxMessage], key: IdempotencyKey?,
        hold: ReservationRequest?, response: JSON, location: String, audit: AuditEntry?
    ) {
        self.task = task
        self.input = input
        self.events = events
        self.outbox = outbox
        self.key = key
        self.hold = hold
        self.response = response
        self.location = location
        self.audit = audit
    }
}

/// A caller's `Idempotency-Key` and the SHA-256 of what it was sent with.
package struct IdempotencyKey: Sendable, Equatable {
    package let text: String
    package let fingerprint: [UInt8]
    /// Under whose name it is kept: the task's principal's when nil. The same key of two owners is two keys.
    package let owner: String?

    package init(text: String, fingerprint: [UInt8], owner: String? = nil) {
        self.text = text
        self.fingerprint = fingerprint
        self.owner = owner
    }
}

package struct StoredResponse: Sendable, Equatable {
    package let status: Int
    package let location: String
    package let body: JSON

    package init(status: Int, location: String, body: JSON) {
        self.status = status
        self.location = location
        self.body = body
    }
}

package enum AdmissionOutcome: Sendable, Equatable {
    case admitted
    /// The key was used before for the same request: nothing new was accepted.
    case replayed(StoredResponse)
    /// The key was used before for another request: nothing was accepted.
    case keyReused
    /// A budget stands over its tenant or project, and nothing was to be held for it: nothing was accepted.
    case needsHold
    /// A budget has no room for it: nothing was accepted.
    case denied(Reservation, BudgetDenial)
    /// What it was to be a part of does not allow it: nothing was accepted.
    case orphaned(OrphanReason)
}

/// Why a task cannot be a part of the one it names.
package enum OrphanReason: Sendable, Equatable {
    case unknown
    case ended(TaskState)
    case otherProject(ProjectID)
    /// The parent's budget has only that much left, and keeps at least one token.
    case tooLittleLeft(Int)
}

/// A message that commits with the decision that caused it, and is published after.
package struct OutboxMessage: Sendable, Equatable {
    /// For the bus's duplicate window; the same however often it is published.
    package let messageID: String
    package let subject: String
    package let payload: JSON
    package let tenant: TenantID
    package let task: TaskID
    package let traceparent: String?

    package init(
        messageID: String, subject: String, payload: JSON, tenant: TenantID, task: TaskID, traceparent: String?
    ) {
        self.messageID = messageID
        self.subject = subject
        self.payload = payload
        self.tenant = tenant
        self.task = task
        self.traceparent = traceparent
    }
}
