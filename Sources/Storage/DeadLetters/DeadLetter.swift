package import Contracts
package import FoundationEssentials

/// A message that no consumer could process, with its story.
package struct DeadLetter: Sendable, Equatable {
    package let id: DeadLetterID
    package let originalSubject: String
    package let family: String
    package let cause: String
    package let reason: String
    package let error: String?
    /// How often it was delivered.
    package let errorCount: Int
    /// Nil where nobody could tell whose it is.
    package let tenant: TenantID?
    package let task: TaskID?
    package let stream: String?
    package let streamSequence: Int?
    package let consumer: String?
    package let firstSeen: Date?
    package let createdAt: Date
    package let replayCount: Int
    package let replayedAt: Date?
    package let resolution: Resolution?

    package struct Resolution: Sendable, Equatable {
        package let at: Date
        package let by: String?
        package let notes: String?
    }
}

/// A dead letter with the exact bytes, headers and history.
package struct DeadLetterDocument: Sendable {
    package let letter: DeadLetter
    package let payload: [UInt8]
    package let headers: JSON
    package let history: JSON
}

/// A dead letter as it is filed.
package struct FiledLetter: Sendable, Equatable {
    /// The dead letter's message id: filing it twice changes nothing.
    package let messageID: String
    package let subject: String
    package let family: String
    package let fingerprint: String
    package let payload: [UInt8]
    package let headers: [String: String]
    package let tenant: TenantID?
    package let task: TaskID?
    package let reason: String
    package let error: String?
    package let errorCount: Int
    package let stream: String?
    package let streamSequence: Int?
    package let consumer: String?
    package let firstSeen: Date?
    package let lastSeen: Date?

    package init(
        messageID: String, subject: String, family: String, fingerprint: String, payload: [UInt8],
        headers: [String: String], tenant: TenantID?, task: TaskID?, reason: String, error: String?, errorCount: Int,
        stream: String?, streamSequence: Int?, consumer: String?, firstSeen: Date?, lastSeen: Date?
    ) {
        self.messageID = messageID
        self.subject = subject
        self.family = family
        self.fingerprint = fingerprint
        self.payload = payload
        self.headers = headers
        self.tenant = tenant
        self.task = task
        self.reason = reason
        self.error = error
        self.errorCount = errorCount
        self.stream = stream
        self.streamSequence = streamSequence
        self.consumer = consumer
        self.firstSeen = firstSeen
        self.lastSeen = lastSeen
    }
}

/// Dead letters of one cause, as one line.
package struct DeadLetterGroup: Sendable, Equatable {
    package let cause: String
    package let family: String
    package let reason: String
    /// One letter's error, for people.
    package let error: String?
    package let count: Int
    package let firstAt: Date
    package let lastAt: Date
}

/// The bytes of a letter as the table keeps them: themselves when they are text, else in base64.
enum LetterBytes {
    static let utf8 = "utf8"
    static let base64 = "base64"

    static func stored(_ bytes: [UInt8]) -> (data: String, encoding: String) {
        if !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) { return (text, utf8) }
        return (Data(bytes).base64EncodedString(), base64)
    }

    /// Nil for what `stored` did not write.
    static func bytes(_ data: [UInt8], encoding: String) -> [UInt8]? {
        encoding == utf8 ? data : Data(base64Encoded: Data(data)).map { [UInt8]($0) }
    }
}
