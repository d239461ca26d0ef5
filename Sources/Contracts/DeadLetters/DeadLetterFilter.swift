package import FoundationEssentials

/// Which unresolved dead letters somebody means: those that meet every condition given.
package struct DeadLetterFilter: Sendable, Equatable {
    package static let idsMax = 1000
    package static let textBytesMax = 512

    /// The original subject, or the beginning of it followed by `>`: `results.>`.
    package var subject: String?
    /// The word for why the consumer gave up.
    package var reason: String?
    /// The group's name, as `golden dlq groups` shows it.
    package var cause: String?
    package var task: TaskID?
    /// Filed before this time.
    package var before: Date?
    /// Filed at this time or later.
    package var since: Date?
    /// These letters; all of them when empty.
    package var ids: [DeadLetterID]

    package init(
        subject: String? = nil, reason: String? = nil, cause: String? = nil, task: TaskID? = nil, before: Date? = nil,
        since: Date? = nil, ids: [DeadLetterID] = []
    ) {
        self.subject = subject
        self.reason = reason
        self.cause = cause
        self.task = task
        self.before = before
        self.since = since
        self.ids = ids
    }

    /// What every subject that is meant begins with; nil when all of it is given, or nothing.
    package var subjectPrefix: String? { subject.flatMap { $0.hasSuffix(">") ? String($0.dropLast()) : nil } }
    /// All of the subject; nil when a prefix is given, or nothing.
    package var wholeSubject: String? { subject.flatMap { $0.hasSuffix(">") ? nil : $0 } }

    /// Whether nothing is asked for, so that every letter is meant.
    package var isEverything: Bool { self == DeadLetterFilter() }
}

extension DeadLetterFilter {
    /// Reads a filter's fields; unknown ones are refused by the reader's owner.
    package init(from body: inout JSONReader) throws(JSONError) {
        subject = try Self.text("subject", &body)
        reason = try Self.text("reason", &body)
        cause = try Self.text("cause", &body)
        task = try Self.id("task", &body) { TaskID($0) }
        before = try Self.time("before", &body)
        since = try Self.time("since", &body)
        let texts = try body.optionalStrings("ids") ?? []
        guard texts.count <= Self.idsMax else { throw body.error("ids", "must not be more than \(Self.idsMax)") }
        ids = texts.compactMap { DeadLetterID($0) }
        guard ids.count == texts.count else { throw body.error("ids", "must each be a dead letter's id") }
    }

    package func write(to writer: inout JSONWriter) {
        writer.field(ifPresent: "subject", subject)
        writer.field(ifPresent: "reason", reason)
        writer.field(ifPresent: "cause", cause)
        writer.field(ifPresent: "task", task?.description)
        writer.field(ifPresent: "before", before.map(Timestamp.text))
        writer.field(ifPresent: "since", since.map(Timestamp.text))
        if !ids.isEmpty { writer.field("ids", ids.map(\.description)) }
    }

    private static func text(_ field: String, _ body: inout JSONReader) throws(JSONError) -> String? {
        guard let text = try body.optionalString(field) else { return nil }
        guard (1...textBytesMax).contains(text.utf8.count) else {
            throw body.error(field, "must be 1 to \(textBytesMax) bytes")
        }
        return text
    }

    private static func id<ID>(
        _ field: String, _ body: inout JSONReader, read: (String) -> ID?
    ) throws(JSONError) -> ID? {
        guard let text = try body.optionalString(field) else { return nil }
        guard let id = read(text) else { throw body.error(field, "must be a UUID") }
        return id
    }

    private static func time(_ field: String, _ body: inout JSONReader) throws(JSONError) -> Date? {
        try body.optional(field) == nil ? nil : body.timestamp(field)
    }
}
