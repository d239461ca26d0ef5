package import Contracts

/// Where one type of message travels: its subject, or a pattern of subjects, and nothing else decides the type.
///
/// A channel with a concrete subject can be published on; one with a pattern can be subscribed to or consumed.
package struct Channel<Message: BusPayload>: Sendable {
    /// A subject or a pattern with wildcards.
    package let subject: String

    init(_ subject: Subject) {
        self.subject = subject.text
    }

    init(pattern: String) {
        subject = pattern
    }
}

extension Channel where Message == WorkItem {
    package static func work(_ role: AgentRole) -> Channel { Channel(.work(role)) }
}

extension Channel where Message == AgentReport {
    package static func results(_ role: AgentRole, _ task: TaskID) -> Channel { Channel(.results(role, task)) }
    package static var allResults: Channel { Channel(pattern: Subject.Pattern.allResults) }
}

extension Channel where Message == AgentReport {
    /// Where a work item asks for its report.
    package static func reply(_ subject: Subject) -> Channel { Channel(subject) }
    package static var reviewResponses: Channel { Channel(pattern: Subject.Pattern.reviewResponses) }
    package static var analyses: Channel { Channel(pattern: Subject.Pattern.analyses) }
}

extension Channel where Message == EscalationNotice {
    package static var escalations: Channel { Channel(.escalation) }
}

extension Channel where Message == ResolutionNotice {
    package static func resolution(_ task: TaskID) -> Channel { Channel(.resolution(task)) }
    package static var resolutions: Channel { Channel(pattern: Subject.Pattern.resolutions) }
}

extension Channel where Message == Alert {
    package static func alert(_ severity: Severity) -> Channel { Channel(.alert(severity)) }
    package static var allAlerts: Channel { Channel(pattern: Subject.Pattern.allAlerts) }
}

extension Channel where Message == ReviewRequest {
    package static func reviewRequest(_ session: ReviewID) -> Channel { Channel(.reviewRequest(session)) }
    package static var reviewRequests: Channel { Channel(pattern: Subject.Pattern.reviewRequests) }
}

extension Channel where Message == ReviewDecision {
    package static func reviewDecision(_ session: ReviewID) -> Channel { Channel(.reviewDecision(session)) }
    package static var reviewDecisions: Channel { Channel(pattern: Subject.Pattern.reviewDecisions) }
}

extension Channel where Message == ReviewCancellation {
    package static func reviewCancel(_ session: ReviewID) -> Channel { Channel(.reviewCancel(session)) }
    package static var reviewCancels: Channel { Channel(pattern: Subject.Pattern.reviewCancels) }
}

extension Channel where Message == TaskEventBatch {
    package static func events(_ tenant: TenantID) -> Channel { Channel(.events(tenant)) }
    package static var allEvents: Channel { Channel(pattern: Subject.Pattern.allEvents) }
}

extension Channel where Message == RawPayload {
    package static var allDeadLetters: Channel { Channel(pattern: Subject.Pattern.allDeadLetters) }
    /// Every message about a review, whatever it is.
    package static var allReviewMessages: Channel { Channel(pattern: Subject.Pattern.allReviews) }
    package static var deliveriesExhausted: Channel { Channel(pattern: Subject.Pattern.deliveriesExhausted) }
}

extension Channel where Message == CancelNotice {
    package static func cancel(_ task: TaskID) -> Channel { Channel(.cancel(task)) }
    package static var allCancels: Channel { Channel(pattern: Subject.Pattern.allCancels) }
}

extension Channel where Message == DispatchHint {
    package static var dispatch: Channel { Channel(.dispatch) }
}

extension Channel where Message == AgentAnnouncement {
    package static var announcements: Channel { Channel(.announcements) }
}

extension Channel where Message == BreakerNotice {
    package static var breakers: Channel { Channel(.breakers) }
}

extension Channel where Message == RateLimitNotice {
    package static var rateLimits: Channel { Channel(.rateLimits) }
}

extension Channel where Message == RevocationNotice {
    package static var revocations: Channel { Channel(.revocations) }
}

extension Channel where Message == SandboxRequest {
    package static var sandboxExecute: Channel { Channel(.sandboxExecute) }
}

extension Channel where Message == SandboxResult {
    package static func sandboxResult(_ execution: ExecutionID) -> Channel { Channel(.sandboxResult(execution)) }
    package static var sandboxResults: Channel { Channel(pattern: Subject.Pattern.sandboxResults) }
}

extension Channel where Message == SandboxEvent {
    package static func sandboxEvents(_ tenant: TenantID, _ execution: ExecutionID) -> Channel {
        Channel(.sandboxEvents(tenant, execution))
    }
    package static var allSandboxEvents: Channel { Channel(pattern: Subject.Pattern.allSandboxEvents) }
}

extension Channel where Message == SandboxControl {
    package static var sandboxControl: Channel { Channel(.sandboxControl) }
}
