/// The body of `POST /tasks`, checked.
package struct TaskSubmission: Sendable, Equatable {
    package static let workflowDefault = WorkflowName(literal: "single")
    package static let projectDefault = ProjectID(literal: "default")
    package static let timeoutRange: ClosedRange<Int> = 1...86_400
    package static let attemptsRange: ClosedRange<Int> = 1...20
    package static let priorityRange: ClosedRange<Int> = 0...9
    package static let labelsMax = 16
    package static let budgetRange: ClosedRange<Int> = 1...1_000_000_000_000

    /// A label for people: printable ASCII letters, digits, space and `._/:-`, at most 120 characters.
    package var name: String?
    package var workflow: WorkflowName
    package var project: ProjectID
    /// Overrides the first stage's role.
    package var role: AgentRole?
    /// 0 (last) to 9 (first); 5 when absent. Orders one tenant's own tasks only.
    package var priority: Int
    /// Overrides each stage's timeout for one attempt.
    package var timeoutSeconds: Int?
    /// Overrides each stage's number of attempts.
    package var attemptMax: Int?
    package var labels: [String: String]
    /// Tokens its agents may use, held on the project's and the tenant's budgets until the task ends.
    package var budgetTokens: Int?
    /// The task on whose behalf this one is submitted.
    package var parent: TaskID?
    /// Where the task's last event is sent.
    package var callback: WebhookURL?
    /// Handed to agents byte for byte.
    package var input: JSON

    package init(
        name: String? = nil, workflow: WorkflowName = workflowDefault, project: ProjectID = projectDefault,
        role: AgentRole? = nil, priority: Int = 5, timeoutSeconds: Int? = nil, attemptMax: Int? = nil,
        labels: [String: String] = [:], budgetTokens: Int? = nil, parent: TaskID? = nil,
        callback: WebhookURL? = nil, input: JSON
    ) {
        self.name = name
        self.workflow = workflow
        self.project = project
        self.role = role
        self.priority = priority
        self.timeoutSeconds = timeoutSeconds
        self.attemptMax = attemptMax
        self.labels = labels
        self.budgetTokens = budgetTokens
        self.parent = parent
        self.callback = callback
        self.input = input
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        name = try Self.name(from: &body)
        workflow = try body.optionalName("workflow") ?? Self.workflowDefault
        project = try body.optionalName("project") ?? Self.projectDefault
        role = try body.optionalName("role")
        priority = try Self.bounded("priority", Self.priorityRange, in: &body) ?? 5
        timeoutSeconds = try Self.bounded("timeout_seconds", Self.timeoutRange, in: &body)
        attemptMax = try Self.bounded("max_attempts", Self.attemptsRange, in: &body)
        labels = try Self.labels(from: &body)
        budgetTokens = try Self.bounded("budget_tokens", Self.budgetRange, in: &body)
        parent = try Self.parent(from: &body)
        callback = try body.optionalWebhookURL("callback_url")
        input = body.raw("input") ?? .emptyObject
        try body.refuseUnknown()
    }

    private static func name(from body: inout JSONReader) throws(JSONError) -> String? {
        guard let name = try body.optionalString("name") else { return nil }
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: " "), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard allowed, (1...120).contains(name.utf8.count) else {
            throw body.error("name", "must be 1 to 120 of A-Z a-z 0-9 space . _ / : - (put free text into input)")
        }
        return name
    }

    private static func parent(from body: inout JSONReader) throws(JSONError) -> TaskID? {
        guard let text = try body.optionalString("parent_id") else { return nil }
        guard let id = TaskID(text) else { throw body.error("parent_id", "must be a task's id") }
        return id
    }

    private static func bounded(
        _ field: String, _ range: ClosedRange<Int>, in body: inout JSONReader
    ) throws(JSONError) -> Int? {
        guard let value = try body.optionalInt(field) else { return nil }
        guard range.contains(value) else {
            throw body.error(field, "must be from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func labels(from body: inout JSONReader) throws(JSONError) -> [String: String] {
        guard let object = body.optional("labels") else { return [:] }
        guard let fields = object.fields, fields.count <= labelsMax else {
            throw body.error("labels", "must be an object of at most \(labelsMax) texts")
        }
        var labels: [String: String] = [:]
        for field in fields {
            guard TaskLabel.isName(field.name), let value = field.value.string,
                value.unicodeScalars.count <= TaskLabel.valueScalarsMax
            else {
                throw body.error("labels", "must map names to texts of at most \(TaskLabel.valueScalarsMax) characters")
            }
            labels[field.name] = value
        }
        return labels
    }
}
