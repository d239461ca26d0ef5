extension Workflow {
    /// Reads what a tenant says a workflow is: the body of `PUT /workflows/{name}`, and the row kept of it.
    ///
    /// - Throws: naming the field, for whatever no task could go through.
    package init(name: WorkflowName, version: Int, definition: JSON) throws(JSONError) {
        var body = try JSONReader(definition)
        guard let list = try body.optionalArray("stages") else { throw body.error("stages", "is required") }
        guard Self.stagesRange.contains(list.count) else {
            throw body.error(
                "stages", "must be \(Self.stagesRange.lowerBound) to \(Self.stagesRange.upperBound) stages")
        }
        var stages: [Stage] = []
        for (index, json) in list.enumerated() {
            let path = "stages[\(index)]"
            let stage = try Stage(json, path: path, worker: stages.last?.role)
            if stages.contains(where: { $0.name == stage.name }) {
                throw JSONError(.wrongShape, path: "\(path).name", "is an earlier stage's name")
            }
            stages.append(stage)
        }
        let escalates = try body.optionalBool("escalate_on_failure") ?? false
        try body.refuseUnknown()
        self.init(name: name, version: version, stages: stages, escalatesOnFailure: escalates)
    }

    /// The same again, every default written out.
    package var definition: JSON {
        JSONWriter.object { writer in
            writer.field(
                "stages", array: { writer in for stage in stages { writer.element(object: { stage.write(to: &$0) }) } })
            writer.field("escalate_on_failure", escalatesOnFailure)
        }
    }
}

extension Stage {
    /// Seconds of one attempt, as a task may ask for.
    package static let workSeconds = TaskSubmission.timeoutRange
    /// How long a human may be asked: up to 30 days.
    package static let approvalSeconds = 1...2_592_000
    package static let timeoutDefaultSeconds = 600
    package static let approvalDefaultSeconds = 86_400
    package static let attemptsDefault = 5
    /// How long a run in the sandbox may be waited for, its place in the queue included.
    package static let executionSeconds = 1...3600
    package static let executionDefaultSeconds = 300
    package static let executionAttemptsDefault = 3

    /// - Parameter worker: whose work came before; nil at the first stage, which must be one of work.
    fileprivate init(_ json: JSON, path: String, worker: AgentRole?) throws(JSONError) {
        var body = try JSONReader(json, path: path)
        let name: WorkflowName = try body.name("name")
        let word = try body.string("kind")
        switch word {
        case "work":
            self = try Self.work(name.text, &body)
        case "execute":
            guard let worker else { throw body.error("kind", "must be work at the first stage") }
            self = try Self.execute(name.text, worker, &body)
        case "review":
            guard let worker else { throw body.error("kind", "must be work at the first stage") }
            let terms = try body.reviewTerms(isStrict: true)
            let seconds = try Self.bounded("timeout_seconds", ReviewRequest.secondsRange, &body)
            self.init(
                name: name.text, kind: .review(terms), role: worker,
                timeout: .seconds(seconds ?? ReviewRequest.secondsDefault), attemptMax: 1, guards: []
            )
        case "approve":
            guard let worker else { throw body.error("kind", "must be work at the first stage") }
            let seconds = try Self.bounded("timeout_seconds", Self.approvalSeconds, &body)
            self.init(
                name: name.text, kind: .approve, role: worker,
                timeout: .seconds(seconds ?? Self.approvalDefaultSeconds), attemptMax: 1, guards: []
            )
        default: throw body.error("kind", "must be work, execute, review or approve")
        }
        try body.refuseUnknown()
    }

    private static func work(_ name: String, _ body: inout JSONReader) throws(JSONError) -> Stage {
        let state = try body.optionalString("state") ?? TaskState.developing.rawValue
        guard let state = [TaskState.developing, .deploying].first(where: { $0.rawValue == state }) else {
            throw body.error("state", "must be developing or deploying")
        }
        let seconds = try bounded("timeout_seconds", workSeconds, &body)
        let attempts = try bounded("max_attempts", TaskSubmission.attemptsRange, &body)
        return Stage(
            name: name, kind: .work(state: state), role: try body.name("role"),
            timeout: .seconds(seconds ?? Stage.timeoutDefaultSeconds), attemptMax: attempts ?? Stage.attemptsDefault,
            guards: try guards(&body) ?? []
        )
    }

    /// Work without tests is sent back unless the definition says otherwise.
    private static func execute(
        _ name: String, _ worker: AgentRole, _ body: inout JSONReader
    ) throws(JSONError) -> Stage {
        let terms = try ExecuteTerms(from: &body)
        let seconds = try bounded("timeout_seconds", executionSeconds, &body)
        let attempts = try bounded("max_attempts", TaskSubmission.attemptsRange, &body)
        return Stage(
            name: name, kind: .execute(terms), role: worker, timeout: .seconds(seconds ?? executionDefaultSeconds),
            attemptMax: attempts ?? executionAttemptsDefault,
            guards: try guards(&body, among: Guard.answeredByExecution) ?? [.hasTests]
        )
    }

    private static func guards(
        _ body: inout JSONReader, among possible: [Guard] = Guard.allCases
    ) throws(JSONError) -> [Guard]? {
        guard let words = try body.optionalStrings("guards") else { return nil }
        var guards: [Guard] = []
        for word in words {
            guard let found = Guard(rawValue: word), possible.contains(found), !guards.contains(found) else {
                let known = possible.map(\.rawValue).joined(separator: ", ")
                throw body.error("guards", "must each be one of \(known), and stand once")
            }
            guards.append(found)
        }
        return guards
    }

    private static func bounded(
        _ field: String, _ range: ClosedRange<Int>, _ body: inout JSONReader
    ) throws(JSONError) -> Int? {
        guard let value = try body.optionalInt(field) else { return nil }
        guard range.contains(value) else {
            throw body.error(field, "must be from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    fileprivate func write(to writer: inout JSONWriter) {
        writer.field("name", name)
        writer.field("kind", kind.word)
        switch kind {
        case .work(let state):
            writer.field("role", role.text)
            writer.field("state", state.rawValue)
            writer.field("max_attempts", attemptMax)
            writer.field("guards", guards.map(\.rawValue))
        case .execute(let terms):
            terms.write(to: &writer)
            writer.field("max_attempts", attemptMax)
            writer.field("guards", guards.map(\.rawValue))
        case .review(let terms): writer.fields(terms)
        case .approve: break
        }
        writer.field("timeout_seconds", Int(timeout.components.seconds))
    }
}
