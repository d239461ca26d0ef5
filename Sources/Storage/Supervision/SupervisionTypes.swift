package import Contracts
package import FoundationEssentials

/// An escalation that the supervisor has met, and what it made of it.
package struct MetEscalation: Sendable, Equatable {
    package let escalation: EscalationCase
    package let plan: EscalationPlan
}

/// The work item of one analysis, as its report has to name it.
package struct AnalysisTicket: Sendable, Equatable {
    /// Stands where a task's id stands in other work items.
    package let work: TaskID
    package let token: String

    package init(work: TaskID, token: String) {
        self.work = work
        self.token = token
    }
}

/// An analysis that is to be asked for.
package struct AnalysisRequest: Sendable {
    package let escalation: EscalationCase
    package let classification: EscalationCause.Classification
    package let form: AnalysisForm
    package let ticket: AnalysisTicket
    package let deadline: Date
    /// The task's input and what was made of it; nil when larger than was asked for.
    package let input: JSON?
    package let made: JSON?
}

/// What an agent reports about an analysis.
package struct AnalysisReport: Sendable {
    package let escalation: EscalationID
    package let ticket: AnalysisTicket
    package let agent: AgentID
    /// Nil: it failed or declined.
    package let answer: JSON?
    package let usageTokens: Int

    package init(
        escalation: EscalationID, ticket: AnalysisTicket, agent: AgentID, answer: JSON?, usageTokens: Int
    ) {
        self.escalation = escalation
        self.ticket = ticket
        self.agent = agent
        self.answer = answer
        self.usageTokens = usageTokens
    }
}

/// What became of a report. `unreadable` too is taken: the escalation goes on to a human.
package enum AnalysisOutcome: Sendable, Equatable {
    case taken(SupervisorStep, EscalationCase)
    /// - Parameter why: names the place in the answer.
    case unreadable(why: String, EscalationCase)
    /// The escalation was decided meanwhile, or its analysis is over.
    case late
    /// Not by who was handed the work.
    case foreign
    case unknown
}

/// A decision that has to be said.
package struct PendingResolution: Sendable {
    package let notice: ResolutionNotice
    package let traceparent: String?
}

/// An escalation that waits for a human.
package struct WaitingEscalation: Sendable, Equatable {
    package let id: EscalationID
    package let tenant: TenantID
    package let task: TaskID
    package let severity: Severity
    /// A raw value of `HumanReason`.
    package let reason: String
    package let since: Date

    package init(
        id: EscalationID, tenant: TenantID, task: TaskID, severity: Severity, reason: String, since: Date
    ) {
        self.id = id
        self.tenant = tenant
        self.task = task
        self.severity = severity
        self.reason = reason
        self.since = since
    }
}

extension WaitingEscalation {
    /// What people are told, who may miss it: what they have to do stands in the table.
    package var alert: Alert {
        Alert(
            name: "escalation_waits_for_human", severity: severity,
            summary: "An escalation waits for a human (\(reason)) since \(Timestamp.text(since)): "
                + "golden escalations show \(id)",
            since: since, tenant: tenant, task: task, escalation: id
        )
    }
}

/// An escalation that is over, for metrics.
package struct ResolvedEscalation: Sendable, Equatable {
    package let source: String
    package let classification: String
    package let resolution: String
    /// `rule`, `analyst`, `human`, or `orchestrator` for one that ended with its task.
    package let by: String
    package let seconds: Double
}

/// How long things may take before a supervisor comes back to them.
package struct SupervisionTimes: Sendable {
    /// For the message of an escalation to arrive, before the sweep meets it.
    package var graceSeconds: Double = 2
    /// For an analyst's answer.
    package var analystSeconds: Double = 120
    /// For orchestrators to carry a decision out, before it is said again.
    package var repeatSeconds: Double = 10
    /// For a human, before it becomes a warning, and before it becomes critical.
    package var warningSeconds: Double = 3600
    package var criticalSeconds: Double = 86_400
    /// For an agent to be taken for online after it was heard of.
    package var onlineSeconds: Double = 45

    package init() {}
}
