package import Contracts
package import FoundationEssentials

/// Somebody's wish to have dead letters processed after all, and how far it has come.
package struct Replay: Sendable, Equatable {
    package let id: ReplayID
    /// Whose letters are meant, besides those that nobody can tell whose they are.
    package let tenant: TenantID
    package let filter: DeadLetterFilter
    /// Sent instead of what was filed; only ever with one letter.
    package let payload: String?
    package let state: ReplayState
    /// Letters a second.
    package let rate: Int
    package let requestedBy: String
    package let note: String?
    package let createdAt: Date
    /// Letters that were meant when it began.
    package let total: Int
    package let replayed: Int
    package let skipped: Int
    /// Grows with every change.
    package let version: Int
    package let updatedAt: Date
    package let endedAt: Date?
}

/// A replay as it is asked for.
package struct ReplayRequest: Sendable, Equatable {
    package let id: ReplayID
    package let tenant: TenantID
    package let filter: DeadLetterFilter
    package let payload: String?
    package let rate: Int
    package let requestedBy: String
    package let note: String?

    package init(
        id: ReplayID, tenant: TenantID, filter: DeadLetterFilter, payload: String?, rate: Int, requestedBy: String,
        note: String?
    ) {
        self.id = id
        self.tenant = tenant
        self.filter = filter
        self.payload = payload
        self.rate = rate
        self.requestedBy = requestedBy
        self.note = note
    }
}

/// A letter in the hands of whoever replays it.
package struct LetterInHand: Sendable {
    package let id: DeadLetterID
    package let createdAt: Date
    package let subject: String
    package let payload: [UInt8]
    package let headers: JSON
    package let task: TaskID?
    /// How often it was replayed before.
    package let replayCount: Int
}

/// Letters of a replay, in the order they were filed.
package struct LetterBatch: Sendable {
    package let letters: [LetterInHand]
    /// Whether the replay ends with it.
    package let isLast: Bool
}

/// What a replay needs to know of a letter's task.
package struct LetterTask: Sendable, Equatable {
    package let id: TaskID
    package let state: TaskState
    package let attempt: Int
    package let leaseToken: String?

    package init(id: TaskID, state: TaskState, attempt: Int, leaseToken: String?) {
        self.id = id
        self.state = state
        self.attempt = attempt
        self.leaseToken = leaseToken
    }
}

/// What became of one letter in a replay.
package struct LetterFate: Sendable, Equatable {
    package let id: DeadLetterID
    package let createdAt: Date
    package let outcome: LetterOutcome
    /// The id under which it was sent again; nil when it was not.
    package let messageID: String?

    package init(of letter: LetterInHand, _ outcome: LetterOutcome, messageID: String? = nil) {
        id = letter.id
        createdAt = letter.createdAt
        self.outcome = outcome
        self.messageID = messageID
    }
}
