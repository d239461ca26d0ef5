/// On `prc.<session>.request`: asks the peer hub to have an artifact reviewed.
package struct ReviewRequest: Sendable, Equatable {
    package static let secondsDefault = 180
    package static let secondsRange: ClosedRange<Int> = 1...86_400
    /// The longest author and owner.
    package static let nameBytesMax = 200
    /// The largest artifact: it travels in each seat's work item.
    package static let artifactBytesMax = WorkItem.bytesMax

    package let session: ReviewID
    package let tenant: TenantID
    package let task: TaskID
    package let attempt: Int
    /// Counts the task's reviews from 1; each is one session.
    package let round: Int
    /// Who made the artifact; neither they nor agents of their owner vote.
    package let author: String
    package let authorOwner: String
    package let terms: ReviewTerms
    /// From the opening to the deadline.
    package let timeoutSeconds: Int
    /// Tokens that the task may still use, its reviewers included; nil when nobody limits it.
    package let budgetLeft: Int?
    /// What is reviewed. Votes are bound to the SHA-256 of its bytes.
    package let artifact: JSON

    package init(
        session: ReviewID, tenant: TenantID, task: TaskID, attempt: Int, round: Int, author: String,
        authorOwner: String, terms: ReviewTerms, timeoutSeconds: Int = secondsDefault, budgetLeft: Int? = nil,
        artifact: JSON
    ) {
        self.session = session
        self.tenant = tenant
        self.task = task
        self.attempt = attempt
        self.round = round
        self.author = author
        self.authorOwner = authorOwner
        self.terms = terms
        self.timeoutSeconds = timeoutSeconds
        self.budgetLeft = budgetLeft
        self.artifact = artifact
    }
}

extension ReviewRequest {
    /// What the stream deduplicates by. Asked again because it may be lost, it has a suffix.
    package var messageID: String { "\(session).request" }
}

extension ReviewRequest: WireMessage {
    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        session = try body.reviewID("session_id")
        tenant = try body.name("tenant")
        task = try body.taskID("task_id")
        attempt = try body.int("attempt")
        round = try body.int("round")
        author = try body.bounded("author", bytesMax: Self.nameBytesMax)
        authorOwner = try body.bounded("author_owner", bytesMax: Self.nameBytesMax)
        terms = try body.reviewTerms()
        timeoutSeconds = try body.optionalInt("timeout_seconds") ?? Self.secondsDefault
        budgetLeft = try body.optionalInt("budget_left")
        artifact = try body.required("artifact")
        for (field, value) in [("attempt", attempt), ("round", round)] where !(1...Int(Int32.max)).contains(value) {
            throw body.error(field, "must be from 1 to \(Int32.max)")
        }
        guard artifact.bytes.count <= Self.artifactBytesMax else {
            throw body.error("artifact", "must not be larger than \(Self.artifactBytesMax) bytes")
        }
        guard Self.secondsRange.contains(timeoutSeconds) else {
            throw body.error(
                "timeout_seconds", "must be from \(Self.secondsRange.lowerBound) to \(Self.secondsRange.upperBound)")
        }
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("session_id", session.description)
        writer.field("tenant", tenant.text)
        writer.field("task_id", task.description)
        writer.field("attempt", attempt)
        writer.field("round", round)
        writer.field("author", author)
        writer.field("author_owner", authorOwner)
        writer.fields(terms)
        writer.field("timeout_seconds", timeoutSeconds)
        writer.field(ifPresent: "budget_left", budgetLeft)
        writer.field("artifact", artifact)
    }
}

extension JSONReader {
    package mutating func reviewID(_ field: String) throws(JSONError) -> ReviewID {
        guard let id = ReviewID(try string(field)) else { throw error(field, "must be a UUID") }
        return id
    }
}
