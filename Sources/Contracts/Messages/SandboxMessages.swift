/// On `sandbox.execute`: asks for one run. Sent again with the same id, it is the same run.
package struct SandboxRequest: Sendable, Equatable, WireMessage {
    /// The longest name of a caller.
    package static let callerBytesMax = 200

    package let execution: ExecutionID
    package let tenant: TenantID
    /// Who asked: a token's subject, an agent, or the stage of a task.
    package let caller: String
    /// The task whose stage this is.
    package let task: TaskID?
    package let attempt: Int?
    /// Nil when it is stored already, as requests of the API are: larger than any message may be.
    package let program: SandboxProgram?

    package init(
        execution: ExecutionID, tenant: TenantID, caller: String, task: TaskID? = nil, attempt: Int? = nil,
        program: SandboxProgram?
    ) {
        self.execution = execution
        self.tenant = tenant
        self.caller = caller
        self.task = task
        self.attempt = attempt
        self.program = program
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        execution = try body.executionID("execution_id")
        tenant = try body.name("tenant")
        caller = try body.bounded("caller", bytesMax: Self.callerBytesMax)
        task = body.optional("task_id") == nil ? nil : try body.taskID("task_id")
        attempt = try body.optionalInt("attempt")
        program = try body.optional("program").map { json throws(JSONError) in try SandboxProgram(json: json) }
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("execution_id", execution.description)
        writer.field("tenant", tenant.text)
        writer.field("caller", caller)
        writer.field(ifPresent: "task_id", task?.description)
        writer.field(ifPresent: "attempt", attempt)
        writer.field(ifPresent: "program", program?.json)
    }
}

/// On `sandbox.result.<execution>`: how a run ended, with as much of its output as a message may hold. The whole is
/// at `GET /sandbox/executions/{id}`.
package struct SandboxResult: Sendable, Equatable, WireMessage {
    /// Of each stream, and of all artifacts.
    package static let outputBytesMax = 64 << 10
    package static let artifactBytesMax = 128 << 10

    package let execution: ExecutionID
    package let tenant: TenantID
    package let task: TaskID?
    package let attempt: Int?
    package let outcome: SandboxOutcome

    package init(
        execution: ExecutionID, tenant: TenantID, task: TaskID? = nil, attempt: Int? = nil, outcome: SandboxOutcome
    ) {
        self.execution = execution
        self.tenant = tenant
        self.task = task
        self.attempt = attempt
        self.outcome = outcome.clipped(
            outputBytesMax: Self.outputBytesMax, artifactBytesMax: Self.artifactBytesMax)
    }

    /// There is one result, however often it is sent.
    package var messageID: String { "\(execution).result" }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        execution = try body.executionID("execution_id")
        tenant = try body.name("tenant")
        task = body.optional("task_id") == nil ? nil : try body.taskID("task_id")
        attempt = try body.optionalInt("attempt")
        outcome = try SandboxOutcome(from: &body)
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("execution_id", execution.description)
        writer.field("tenant", tenant.text)
        writer.field(ifPresent: "task_id", task?.description)
        writer.field(ifPresent: "attempt", attempt)
        outcome.write(to: &writer)
    }
}

/// On `events.<tenant>.sandbox.<execution>`: what a run does, while it does it.
///
/// `number` counts from 1 within a try; a later try begins at a multiple of `numbersPerTry`. Whoever missed some asks
/// for them on `control.sandbox`, and after the end makes the same events from the stored result.
package struct SandboxEvent: Sendable, Equatable, WireMessage {
    package static let numbersPerTry = 10_000_000

    package enum Kind: Sendable, Equatable {
        case start
        /// Bytes of a stream, from `offset` on.
        case output(Stream, offset: Int, bytes: [UInt8])
        /// It has ended, and its result is stored.
        case exit(SandboxStatus)
    }

    package enum Stream: String, Sendable, CaseIterable { case stdout, stderr }

    package let execution: ExecutionID
    package let number: Int
    package let kind: Kind

    package init(execution: ExecutionID, number: Int, kind: Kind) {
        self.execution = execution
        self.number = number
        self.kind = kind
    }

    /// `start`, `stdout`, `stderr` or `exit`.
    package var name: String {
        switch kind {
        case .start: "start"
        case .output(let stream, _, _): stream.rawValue
        case .exit: "exit"
        }
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        execution = try body.executionID("execution_id")
        number = try body.int("number")
        let type = try body.string("type")
        switch type {
        case "start": kind = .start
        case "exit":
            guard let status = SandboxStatus(rawValue: try body.string("status")) else {
                throw body.error("status", "is unknown")
            }
            kind = .exit(status)
        default:
            guard let stream = Stream(rawValue: type) else { throw body.error("type", "is unknown") }
            let offset = try body.int("offset")
            kind = .output(stream, offset: offset, bytes: try body.bytes(text: "text", base64: "base64"))
        }
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("execution_id", execution.description)
        writer.field("number", number)
        writer.field("type", name)
        switch kind {
        case .start: break
        case .output(_, let offset, let bytes):
            writer.field("offset", offset)
            OutputText.write(bytes, text: "text", base64: "base64", to: &writer)
        case .exit(let status): writer.field("status", status.rawValue)
        }
    }
}

/// On `control.sandbox`, to every executor: whichever runs it obeys, the others pass it over.
package struct SandboxControl: Sendable, Equatable, WireMessage {
    package enum Verb: String, Sendable, CaseIterable {
        /// Stop it; the stored request to cancel says the same to who missed this.
        case cancel
        /// Say again what it has written so far.
        case replay
    }

    package let verb: Verb
    package let execution: ExecutionID

    package init(_ verb: Verb, _ execution: ExecutionID) {
        self.verb = verb
        self.execution = execution
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        guard let verb = Verb(rawValue: try body.string("verb")) else { throw body.error("verb", "is unknown") }
        self.verb = verb
        execution = try body.executionID("execution_id")
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("verb", verb.rawValue)
        writer.field("execution_id", execution.description)
    }
}
