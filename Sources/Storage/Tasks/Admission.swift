package import Contracts

/// A task about to be accepted, with everything that commits together with it.
package struct Admission: Sendable {
    package let task: TaskRecord
    package let input: JSON
    package let events: [TaskEvent]
    package let outbox: [OutboxMessage]
    package let key: IdempotencyKey?
    /// What the caller gets, and gets again under the same key.
    package let response: JSON
    package let location: String

    package init(
        task: TaskRecord, input: JSON, events: [TaskEvent], outbox: [OutboxMessage], key: IdempotencyKey?,
        response: JSON, location: String
    ) {
        self.task = task
        self.input = input
        self.events = events
        self.outbox = outbox
        self.key = key
        self.response = response
        self.location = location
    }
}

/// A caller's `Idempotency-Key` and the SHA-256 of what it was sent with.
package struct IdempotencyKey: Sendable, Equatable {
    package let text: String
    package let fingerprint: [UInt8]

    package init(text: String, fingerprint: [UInt8]) {
        self.text = text
        self.fingerprint = fingerprint
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
