internal import Contracts
internal import FoundationEssentials
internal import OrchestratorCore
internal import Storage

/// Prompts and roles' governance as the API shows them.
enum GovernanceView {
    static func role(_ role: RoleGovernance) -> JSON {
        JSONWriter.object { writer in
            writer.field("role", role.role.text)
            writer.field("status", role.status)
            writer.field("can_auto_update", role.canAutoUpdate)
            writer.field("max_updates_per_day", role.rules.updatesPerDayMax)
            writer.field("updates_last_24h", role.updatesLast24h)
            writer.field("cooldown_hours", role.rules.cooldownHours)
            writer.field("require_human_approval", role.rules.requiresHumanApproval)
            writer.field("rules_version", role.rules.version)
            writer.field(ifPresent: "last_update_at", role.lastUpdateAt.map(Timestamp.text))
            writer.field(ifPresent: "next_auto_at", role.nextAutoAt.map(Timestamp.text))
            writer.field(ifPresent: "active_version", role.activeVersion)
            writer.field("pending_reviews", role.pendingReviews)
        }
    }

    static func stats(_ stats: LearningStats) -> JSON {
        JSONWriter.object { writer in
            writer.field("role", stats.role.text)
            writer.field("proposals", stats.proposals)
            writer.field("auto_approved", stats.autoApproved)
            writer.field("approved", stats.approved)
            writer.field("rejected", stats.rejected)
            writer.field("pending_review", stats.pendingReview)
            writer.field("blocked", stats.blocked)
            writer.field("rollbacks", stats.rollbacks)
            writer.field("open_patterns", stats.openPatterns)
            writer.field(ifPresent: "last_proposed_at", stats.lastProposedAt.map(Timestamp.text))
        }
    }

    static func prompt(_ prompt: Prompt) -> JSON { JSONWriter.object { write(prompt, to: &$0) } }

    /// With the verdict in words: why, and until when.
    static func filed(_ filed: FiledPrompt) -> JSON {
        JSONWriter.object { writer in
            write(filed.prompt, to: &writer)
            writer.field("verdict", filed.prompt.status.rawValue)
            writer.field(
                "explanation",
                explanation(filed.prompt.verdictReason, role: filed.prompt.role, nextAutoAt: filed.nextAutoAt))
            writer.field(ifPresent: "next_auto_at", filed.nextAutoAt.map(Timestamp.text))
        }
    }

    static func document(_ document: PromptDocument) -> JSON {
        let prompt = document.prompt
        return JSONWriter.object { writer in
            write(prompt, to: &writer)
            if prompt.status == .blocked {
                writer.field(ifPresent: "next_auto_at", document.nextAutoAt.map(Timestamp.text))
            }
            writer.field("outcomes", object: { write(document.outcomes, to: &$0) })
            writer.field("reviews", object: { write(document.reviews, to: &$0) })
            writer.field("content", document.content)
            writer.field(
                "diff",
                UnifiedDiff.text(
                    from: document.baseContent ?? "", to: document.content,
                    oldName: prompt.baseVersion == 0 ? "/dev/null" : "\(prompt.role) v\(prompt.baseVersion)",
                    newName: "\(prompt.role) v\(prompt.version)"
                ))
        }
    }

    private static func write(_ prompt: Prompt, to writer: inout JSONWriter) {
        writer.field("id", prompt.id.number)
        writer.field("role", prompt.role.text)
        writer.field("version", prompt.version)
        writer.field("base_version", prompt.baseVersion)
        writer.field("status", prompt.status.rawValue)
        writer.field("active", prompt.isActive)
        writer.field("verdict_reason", prompt.verdictReason)
        writer.field(ifPresent: "reason", prompt.reason)
        writer.field("proposed_by", prompt.proposedBy)
        writer.field("proposed_at", Timestamp.text(prompt.proposedAt))
        writer.field(ifPresent: "reviewed_by", prompt.reviewedBy)
        writer.field(ifPresent: "review_notes", prompt.reviewNotes)
        writer.field(ifPresent: "reviewed_at", prompt.reviewedAt.map(Timestamp.text))
        writer.field("sha256", prompt.sha256)
        writer.field("size_bytes", prompt.sizeBytes)
    }

    private static func write(_ outcomes: PromptOutcomes, to writer: inout JSONWriter) {
        writer.field("tasks", outcomes.tasks)
        writer.field("completed", outcomes.completed)
        writer.field("failed", outcomes.failed)
        writer.field("rejected", outcomes.rejected)
        writer.field("canceled", outcomes.canceled)
        writer.field("retries", outcomes.retries)
    }

    private static func write(_ reviews: PromptReviews, to writer: inout JSONWriter) {
        writer.field("total", reviews.total)
        writer.field("approved", reviews.approved)
        writer.field("rejected", reviews.rejected)
        writer.field("escalated", reviews.escalated)
        writer.field("rework_rounds", reviews.reworkRounds)
        if let rate = reviews.approvalRate { writer.field("approval_rate", decimal: rate.description) }
    }

    private static func explanation(_ verdictReason: String, role: AgentRole, nextAutoAt: Date?) -> String {
        let human = "A human may approve this one all the same."
        let until = nextAutoAt.map { "Blocked until \(Timestamp.text($0))" } ?? "Blocked while its rules say so"
        return switch verdictReason {
        case "within_limits": "Active now: it is within the limits of the role \(role)."
        case "human_approval_required": "It waits for a human: the rules of the role \(role) ask for one."
        case "unknown_role": "It waits for a human: the role \(role) has no rules yet."
        case "cooldown": "\(until): the prompt of the role \(role) was updated too recently. \(human)"
        case "daily_limit": "\(until): the role \(role) has had its updates of 24 hours. \(human)"
        case "refused_before":
            "It waits for a human: this text was rejected, or rolled back from, for the role \(role) before."
        default: verdictReason
        }
    }

    static func pattern(_ pattern: LearnedPattern) -> JSON {
        JSONWriter.object { writer in
            writer.field("id", pattern.id)
            writer.field("role", pattern.role.text)
            writer.field("signature", pattern.signature)
            writer.field("classification", pattern.classification)
            writer.field(ifPresent: "description", pattern.description)
            writer.field("occurrences", pattern.occurrences)
            writer.field("status", pattern.status.rawValue)
            if let proposal = pattern.proposal {
                writer.field("prompt_id", proposal.prompt.number)
                writer.field("prompt_status", proposal.status.rawValue)
                writer.field("verdict_reason", proposal.verdictReason)
                if proposal.status.isUndecided {
                    writer.field(
                        "explanation",
                        explanation(proposal.verdictReason, role: pattern.role, nextAutoAt: proposal.nextAutoAt))
                }
                writer.field(ifPresent: "next_auto_at", proposal.nextAutoAt.map(Timestamp.text))
            }
            writer.field("first_seen", Timestamp.text(pattern.firstSeen))
            writer.field("last_seen", Timestamp.text(pattern.lastSeen))
            writer.field("evidence", pattern.evidence)
        }
    }
}
