package import FoundationEssentials

/// What an agent leases from `work.<role>`: one attempt at one stage of one task.
package struct WorkItem: Sendable, Equatable {
    package let task: TaskID
    package let tenant: TenantID
    package let workflow: WorkflowName
    package let stage: String
    /// The stage's kind, `work`; or `review` or `analysis`, which are no stage's.
    package let kind: String
    package let role: AgentRole
    /// Fences results: one that names an older attempt changes nothing.
    package let attempt: Int
    /// Must come back with every report; proves that the reporter held this attempt's lease.
    package let leaseToken: String
    /// A result after this is too late.
    package let deadline: Date
    /// Tokens the task may still use; nil when nobody limits it. The attempt is stopped when it reports more.
    package let budgetLeft: Int?
    /// What the role's agents are told before all else, in its current version; nil where nothing is kept for the role.
    package let prompt: String?
    /// Which version of it; the task keeps the number with what became of the attempt.
    package let promptVersion: Int?
    package let input: JSON
    /// Where reports go; nil: `results.<role>.<task>`.
    package let reply: Subject?
    /// Who hands it back unread, because their report would not count; nil excludes nobody.
    package let exclusion: WorkExclusion?
    /// What to do about the attempts before: an action plan, when the work was sent back.
    package let plan: JSON?
    /// What the stages before, or the attempts that were sent back, have made.
    package let previous: JSON?

    /// Input and what was made before travel together only up to this size; then `previous` is left out.
    package static let bytesMax = 3 << 19

    package init(
        task: TaskID, tenant: TenantID, workflow: WorkflowName, stage: String, kind: String, role: AgentRole,
        attempt: Int, leaseToken: String, deadline: Date, budgetLeft: Int? = nil, prompt: String? = nil,
        promptVersion: Int? = nil, input: JSON, plan: JSON? = nil, previous: JSON? = nil, reply: Subject? = nil,
        exclusion: WorkExclusion? = nil
    ) {
        self.task = task
        self.tenant = tenant
        self.workflow = workflow
        self.stage = stage
        self.kind = kind
        self.role = role
        self.attempt = attempt
        self.leaseToken = leaseToken
        self.deadline = deadline
        self.budgetLeft = budgetLeft
        self.prompt = prompt
        self.promptVersion = promptVersion
        self.input = input
        self.reply = reply
        self.exclusion = exclusion
        self.plan = plan
        self.previous = previous.flatMap { $0.bytes.count + input.bytes.count <= Self.bytesMax ? $0 : nil }
    }
}

extension WorkItem: WireMessage {
    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        try body.requireVersion()
        task = try body.taskID("task_id")
        tenant = try body.name("tenant")
        workflow = try body.name("workflow")
        stage = try body.string("stage")
        kind = try body.string("kind")
        role = try body.name("role")
        attempt = try body.int("attempt")
        leaseToken = try body.string("lease_token")
        deadline = try body.timestamp("deadline")
        budgetLeft = try body.optionalInt("budget_left")
        prompt = try body.optionalString("prompt")
        promptVersion = try body.optionalInt("prompt_version")
        input = body.optional("input") ?? .null
        plan = body.optional("plan")
        previous = body.optional("previous")
        exclusion = try WorkExclusion(from: &body)
        guard let reply = try body.optionalString("reply") else {
            self.reply = nil
            return
        }
        guard let reply = Subject(reply: reply) else {
            throw body.error("reply", "must be where a review's or an analysis's report goes")
        }
        self.reply = reply
    }

    package func write(to writer: inout JSONWriter) {
        writer.field("task_id", task.description)
        writer.field("tenant", tenant.text)
        writer.field("workflow", workflow.text)
        writer.field("stage", stage)
        writer.field("kind", kind)
        writer.field("role", role.text)
        writer.field("attempt", attempt)
        writer.field("lease_token", leaseToken)
        writer.field("deadline", Timestamp.text(deadline))
        writer.field(ifPresent: "budget_left", budgetLeft)
        writer.field(ifPresent: "prompt", prompt)
        writer.field(ifPresent: "prompt_version", promptVersion)
        writer.field("input", input)
        writer.field(ifPresent: "plan", plan)
        writer.field(ifPresent: "previous", previous)
        writer.field(ifPresent: "reply", reply?.text)
        if let exclusion { writer.field("not_for", object: exclusion.write) }
    }
}
