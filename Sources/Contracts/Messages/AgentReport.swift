/// What an agent says about an attempt it holds, on `results.<role>.<task>`: progress any number of times, then one
/// outcome.
///
/// Progress travels the same way as the outcome, so the two cannot overtake each other.
package struct AgentReport: Sendable, Equatable {
    /// The largest outcome an agent may send inline.
    package static let outputBytesMax = 1 << 20
    /// Progress beyond this many reports of one attempt is dropped: by the agent, and where it comes all the same.
    package static let progressMax = 1000
    /// A larger `data` of a progress report is left out of it.
    package static let progressDataBytesMax = 65_536

    package let task: TaskID
    package let attempt: Int
    package let leaseToken: String
    package let agent: AgentID
    package let body: Body

    package init(task: TaskID, attempt: Int, leaseToken: String, agent: AgentID, body: Body) {
        self.task = task
        self.attempt = attempt
        self.leaseToken = leaseToken
        self.agent = agent
        self.body = body
    }

    package enum Body: Sendable, Equatable {
        /// Shown to people; `number` counts from 1 within the attempt and makes a repeated report recognisable.
        case progress(number: Int, message: String, data: JSON?, usage: Usage? = nil)
        case completed(output: JSON, usage: Usage?)
        case failed(Failure)
        /// The agent will not do this, and no other agent of its role should try: the task ends.
        case rejected(reason: String, usage: Usage? = nil)
        /// The agent may not or cannot decide how to go on: the supervisor does, or a human.
        case escalated(reason: String, usage: Usage? = nil)

        package var word: String {
            switch self {
            case .progress: "progress"
            case .completed: "completed"
            case .failed: "failed"
            case .rejected: "rejected"
            case .escalated: "escalated"
            }
        }

        /// What the attempt has consumed by now, where the agent says so.
        package var usage: Usage? {
            switch self {
            case .progress(_, _, _, let usage), .completed(_, let usage), .rejected(_, let usage),
                .escalated(_, let usage):
                usage
            case .failed(let failure): failure.usage
            }
        }
    }

    /// Why an attempt failed. A permanent failure is not tried again.
    package struct Failure: Sendable, Equatable {
        package let code: String
        package let message: String
        package let isRetryable: Bool
        /// The agent's wish for the wait before the next attempt, honoured when longer than the backoff, up to a day.
        package let retryAfterSeconds: Int?
        package let usage: Usage?

        package init(
            code: String, message: String, isRetryable: Bool, retryAfterSeconds: Int? = nil, usage: Usage? = nil
        ) {
            self.code = code
            self.message = message
            self.isRetryable = isRetryable
            self.retryAfterSeconds = retryAfterSeconds
            self.usage = usage
        }
    }

    /// What one attempt has consumed since its beginning, for budgets: each report's replaces the one before.
    package struct Usage: Sendable, Equatable {
        /// More than this is no usage of one attempt.
        package static let tokensMax = 1_000_000_000_000

        package let tokens: Int

        package init(tokens: Int) {
            self.tokens = tokens
        }
    }
}

extension AgentReport: WireMessage {
    package init(json: JSON) throws(JSONError) {
        var reader = try JSONReader(json)
        try reader.requireVersion()
        task = try reader.taskID("task_id")
        attempt = try reader.int("attempt")
        leaseToken = try reader.string("lease_token")
        agent = try reader.name("agent")
        switch try reader.string("outcome") {
        case "progress":
            body = .progress(
                number: try reader.int("number"), message: try reader.bounded("message", bytesMax: 4096),
                data: reader.optional("data").flatMap { $0.bytes.count > Self.progressDataBytesMax ? nil : $0 },
                usage: try Self.usage(&reader)
            )
        case "completed":
            body = .completed(output: reader.optional("output") ?? .null, usage: try Self.usage(&reader))
        case "failed":
            body = .failed(
                Failure(
                    code: try reader.bounded("code", bytesMax: 100),
                    message: try reader.bounded("message", bytesMax: 4096),
                    isRetryable: try reader.optionalBool("retryable") ?? true,
                    retryAfterSeconds: try reader.optionalInt("retry_after_seconds"), usage: try Self.usage(&reader)
                )
            )
        case "rejected":
            body = .rejected(
                reason: try reader.bounded("reason", bytesMax: 4096), usage: try Self.usage(&reader)
            )
        case "escalated":
            let reason = try reader.bounded("reason", bytesMax: 4096)
            guard !reason.isEmpty else { throw reader.error("reason", "must say what is to be decided") }
            body = .escalated(reason: reason, usage: try Self.usage(&reader))
        case let other: throw reader.error("outcome", "is \"\(other)\", which this build does not know")
        }
    }

    private static func usage(_ reader: inout JSONReader) throws(JSONError) -> Usage? {
        guard var usage = try reader.optionalObject("usage") else { return nil }
        let tokens = try usage.int("tokens")
        guard (0...Usage.tokensMax).contains(tokens) else {
            throw usage.error("tokens", "must be from 0 to \(Usage.tokensMax)")
        }
        return Usage(tokens: tokens)
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("task_id", task.description)
        writer.field("attempt", attempt)
        writer.field("lease_token", leaseToken)
        writer.field("agent", agent.text)
        writer.field("outcome", body.word)
        switch body {
        case .progress(let number, let message, let data, _):
            writer.field("number", number)
            writer.field("message", message)
            writer.field(ifPresent: "data", data)
        case .completed(let output, _): writer.field("output", output)
        case .failed(let failure):
            writer.field("code", failure.code)
            writer.field("message", failure.message)
            writer.field("retryable", failure.isRetryable)
            writer.field(ifPresent: "retry_after_seconds", failure.retryAfterSeconds)
        case .rejected(let reason, _), .escalated(let reason, _): writer.field("reason", reason)
        }
        if let usage = body.usage { writer.field("usage", object: { $0.field("tokens", usage.tokens) }) }
    }
}

extension JSONReader {
    /// A text of at most `bytesMax` bytes of UTF-8.
    package mutating func bounded(_ field: String, bytesMax: Int) throws(JSONError) -> String {
        let text = try string(field)
        guard text.utf8.count <= bytesMax else { throw error(field, "must not be longer than \(bytesMax) bytes") }
        return text
    }
}
