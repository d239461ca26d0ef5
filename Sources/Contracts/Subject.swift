/// Every subject Golden speaks on, and nowhere else: no other file holds a subject literal.
package struct Subject: Hashable, Sendable, CustomStringConvertible {
    package let text: String

    private init(_ text: String) {
        self.text = text
    }

    /// A subject this project wrote earlier and kept, such as an outbox row's. The wire checks its form again.
    package init(stored text: String) {
        self.text = text
    }

    package var description: String { text }

    /// The session that a subject `prc.<session>.<event>` is about; nil for every other subject.
    package static func session(of text: String) -> ReviewID? {
        let tokens = text.split(separator: ".", omittingEmptySubsequences: false)
        guard tokens.count == 3, tokens[0] == "prc" else { return nil }
        return ReviewID(tokens[1])
    }

    /// The escalation that a subject `supervisor.analysis.<escalation>` is about; nil for every other subject.
    package static func analyzedEscalation(of text: String) -> EscalationID? {
        let tokens = text.split(separator: ".", omittingEmptySubsequences: false)
        guard tokens.count == 3, tokens[0] == "supervisor", tokens[1] == "analysis" else { return nil }
        return EscalationID(tokens[2])
    }

    /// Where a work item may ask its report to be sent: nil unless `text` is a session's response subject, or where an
    /// escalation's analysis goes.
    package init?(reply text: String) {
        let session = Self.session(of: text).map { Self.reviewResponse($0).text }
        let escalation = Self.analyzedEscalation(of: text).map { Self.analysis($0).text }
        guard text == session || text == escalation else { return nil }
        self.text = text
    }

    /// Work for agents of one role.
    package static func work(_ role: AgentRole) -> Subject { Subject("work.\(role)") }
    /// An agent's reports about one task.
    package static func results(_ role: AgentRole, _ task: TaskID) -> Subject { Subject("results.\(role).\(task)") }
    /// What was just written to the histories of a tenant's tasks.
    package static func events(_ tenant: TenantID) -> Subject { Subject("events.\(tenant)") }
    /// Asks the peer hub to open a session.
    package static func reviewRequest(_ session: ReviewID) -> Subject { Subject("prc.\(session).request") }
    /// What reviewers report about their work items.
    package static func reviewResponse(_ session: ReviewID) -> Subject { Subject("prc.\(session).response") }
    /// What the peer hub decided.
    package static func reviewDecision(_ session: ReviewID) -> Subject { Subject("prc.\(session).decision") }
    /// Tells the peer hub that nobody waits for the decision any more.
    package static func reviewCancel(_ session: ReviewID) -> Subject { Subject("prc.\(session).cancel") }
    /// Says that a task was escalated.
    package static let escalation = Subject("supervisor.escalation")
    /// What analysts report about an escalation.
    package static func analysis(_ escalation: EscalationID) -> Subject { Subject("supervisor.analysis.\(escalation)") }
    /// What the supervisor decided about an escalated task.
    package static func resolution(_ task: TaskID) -> Subject { Subject("supervisor.resolution.\(task)") }
    /// What people should look at.
    package static func alert(_ severity: Severity) -> Subject { Subject("alerts.\(severity.rawValue)") }
    /// Asks whoever works on the task to stop.
    package static func cancel(_ task: TaskID) -> Subject { Subject("control.cancel.\(task)") }
    /// Hints to the leading dispatcher.
    package static let dispatch = Subject("control.dispatch")
    /// Each orchestrator replica's sign of life, for dividing what cannot be counted together.
    package static let replicas = Subject("control.replica")
    /// Tells every replica that the fleet's state of a circuit breaker changed.
    package static let breakers = Subject("control.breaker")
    /// Tells every replica that the rate limits were set anew.
    package static let rateLimits = Subject("control.rate-limits")
    /// Tells every replica that somebody's tokens count no more.
    package static let revocations = Subject("control.revocations")
    /// Asks all agents to announce themselves now.
    package static let announceNow = Subject("control.announce")
    /// Agents' announcements.
    package static let announcements = Subject("agents.announce")
    /// Asks for a run in the sandbox.
    package static let sandboxExecute = Subject("sandbox.execute")
    /// How a run ended.
    package static func sandboxResult(_ execution: ExecutionID) -> Subject { Subject("sandbox.result.\(execution)") }
    /// What a run does, while it does it.
    package static func sandboxEvents(_ tenant: TenantID, _ execution: ExecutionID) -> Subject {
        Subject("events.\(tenant).sandbox.\(execution)")
    }
    /// Asks whichever executor has a run to stop it or to repeat what it wrote.
    package static let sandboxControl = Subject("control.sandbox")
    /// Where a message goes that `subject`'s consumer gave up on.
    package static func deadLetter(_ subject: String) -> Subject { Subject("dlq.\(subject)") }

    /// Where a message goes that cannot be sent on as it is, for what stands in its subject or its headers.
    /// `MessageHeader.originalSubject` says where it was meant to go.
    package static let renamedDeadLetter = Subject("dlq.renamed")

    /// How much of it that header keeps: more than can be sent, so that what was cut is never taken for a subject, and
    /// less than an index takes.
    package static let originalBytesMax = 2048

    /// What a dead letter's subject says about where the message was meant to go; nil for every other subject.
    package static func original(ofDeadLetter text: String) -> String? {
        text.hasPrefix("dlq.") ? String(text.dropFirst(4)) : nil
    }

    /// The task that a subject names; nil for subjects whose ids are others, or that hold none.
    package static func task(of text: String) -> TaskID? {
        let tokens = text.split(separator: ".", omittingEmptySubsequences: false)
        guard tokens.count == 3, tokens[0] == "results" || (tokens[0] == "supervisor" && tokens[1] == "resolution")
        else { return nil }
        return TaskID(tokens[2])
    }

    /// Whether messages on this subject belong to one attempt at a task.
    package static func carriesAttempt(_ text: String) -> Bool {
        text.hasPrefix("work.") || text.hasPrefix("results.")
    }

    /// Whether messages on this subject are work for agents.
    package static func isWork(_ text: String) -> Bool { text.hasPrefix("work.") }

    /// Whose agents a subject `work.<role>` is for; nil for every other subject.
    package static func role(ofWork text: String) -> AgentRole? { isWork(text) ? AgentRole(text.dropFirst(5)) : nil }

    /// Subjects, with `*` for ids and roles, whose consumers stand any message twice.
    package static let fencedFamilies = [
        "work.*", "results.*.*", "prc.*.request", "prc.*.response", "prc.*.decision", "prc.*.cancel",
        "supervisor.escalation", "supervisor.analysis.*", "supervisor.resolution.*", "sandbox.execute",
        "sandbox.result.*",
    ]

    /// What dead letters may never wait on: nobody else would hear of these.
    package static let escalationsPrefix = "supervisor.escalation"

    /// Patterns that subscriptions, streams and consumers listen on.
    package enum Pattern {
        package static let allWork = "work.>"
        package static let allResults = "results.>"
        package static let allEvents = "events.*"
        package static let allCancels = "control.cancel.*"
        package static let allReviews = "prc.>"
        package static let reviewRequests = "prc.*.request"
        package static let reviewResponses = "prc.*.response"
        package static let reviewDecisions = "prc.*.decision"
        package static let reviewCancels = "prc.*.cancel"
        package static let allSupervisor = "supervisor.>"
        package static let analyses = "supervisor.analysis.*"
        package static let resolutions = "supervisor.resolution.*"
        package static let allAlerts = "alerts.*"
        package static let allSandbox = "sandbox.>"
        package static let sandboxResults = "sandbox.result.*"
        package static let allSandboxEvents = "events.*.sandbox.*"
        package static let allDeadLetters = "dlq.>"
        package static let deliveriesExhausted = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"
    }
}
