internal import Contracts
internal import HTTPEdge
internal import Storage

/// The shapes that the governance routes' answers have.
extension GovernanceAPI {
    static let schemas: [(name: String, schema: Schema)] = [
        ("RoleGovernance", role), ("LearningStats", stats), ("Prompt", .object(prompt)), ("FiledPrompt", filed),
        ("PromptDocument", document), ("LearnedPattern", pattern),
    ]

    static let words = Schema.text(min: 1, max: PromptProposal.reasonMax)
    private static let statuses = Schema.choice(PromptStatus.allCases.map(\.rawValue))
    private static let verdictReasons = Schema.choice([
        "within_limits", "unknown_role", "human_approval_required", "cooldown", "daily_limit", "refused_before",
    ])

    private static let role = Schema.object([
        .required("role", .name),
        .required("status", .choice(["ready", "human_approval_required", "cooldown", "daily_limit"])),
        .required("can_auto_update", .boolean, "Whether a proposal would become active by itself now."),
        .required("max_updates_per_day", .integer(GovernanceRules.updatesRange), "In any 24 hours."),
        .required("updates_last_24h", .integer()),
        .required("cooldown_hours", .integer(GovernanceRules.cooldownRange)),
        .required("require_human_approval", .boolean),
        .required("rules_version", .text(), "For If-Match."),
        .optional("last_update_at", .time),
        .optional("next_auto_at", .time, "While blocked: from then on updates can pass again."),
        .optional("active_version", .integer(), "Absent while agents of the role get no prompt."),
        .required("pending_reviews", .integer()),
    ])

    private static let stats = Schema.object([
        .required("role", .name), .required("proposals", .integer()), .required("auto_approved", .integer()),
        .required("approved", .integer()), .required("rejected", .integer()), .required("pending_review", .integer()),
        .required("blocked", .integer()), .required("rollbacks", .integer()),
        .required("open_patterns", .integer(), "Recurring failures that are being watched."),
        .optional("last_proposed_at", .time),
    ])

    private static let prompt: [Schema.Field] = [
        .required("id", .integer(PromptID.range)), .required("role", .name),
        .required("version", .integer(), "Counts the role's proposals."),
        .required("base_version", .integer(), "The version active when it was proposed; 0 for none."),
        .required("status", statuses), .required("active", .boolean, "Agents of the role are handed this one."),
        .required("verdict_reason", verdictReasons, "What governance said to the proposal."),
        .optional("reason", .text()), .required("proposed_by", .text()), .required("proposed_at", .time),
        .optional("reviewed_by", .text()), .optional("review_notes", .text()), .optional("reviewed_at", .time),
        .required("sha256", .text(), "Of the content, in hex."), .required("size_bytes", .integer()),
    ]

    private static let filed = Schema.object(
        prompt + [
            .required("verdict", .choice(["auto_approved", "pending_review", "blocked"])),
            .required("explanation", .text(), "The verdict in words."),
            .optional("next_auto_at", .time, "When blocked: from then on an update can pass again."),
        ])

    private static let outcomes = Schema.object([
        .required("tasks", .integer()), .required("completed", .integer()), .required("failed", .integer()),
        .required("rejected", .integer()), .required("canceled", .integer()),
        .required("retries", .integer(), "Attempts that had to be repeated."),
    ])

    private static let reviews = Schema.object([
        .required("total", .integer()), .required("approved", .integer()), .required("rejected", .integer()),
        .required("escalated", .integer(), "Peers could not decide."),
        .required("rework_rounds", .integer(), "How often work was sent back by itself."),
        .optional("approval_rate", .number, "approved / total, to four places; absent when nothing was reviewed."),
    ])

    private static let document = Schema.object(
        prompt + [
            .optional("next_auto_at", .time, "When blocked: from then on an update can pass again."),
            .required(
                "outcomes", outcomes,
                "Of the tasks, the newest \(PromptOutcomes.tasksMax), whose last attempt was handed this version."
            ),
            .required(
                "reviews", reviews,
                "What peers said, in the newest \(PromptOutcomes.tasksMax) reviews, of attempts that were handed it."
            ),
            .required("content", .text(max: PromptProposal.contentBytesMax)),
            .required("diff", .text(), "Against its base version, in the unified format."),
        ])

    private static let pattern = Schema.object([
        .required("id", .integer()), .required("role", .name), .required("signature", .text()),
        .required("classification", .choice(EscalationCause.Classification.allCases.map(\.rawValue))),
        .optional("description", .text()), .required("occurrences", .integer()),
        .required("status", .choice(LearnedPattern.Status.allCases.map(\.rawValue))),
        .optional("prompt_id", .integer(PromptID.range), "What was proposed because of it."),
        .optional("prompt_status", statuses), .optional("verdict_reason", verdictReasons),
        .optional("explanation", .text(), "Governance's verdict in words."),
        .optional("next_auto_at", .time, "While the proposal is blocked: from then on an update can pass again."),
        .required("first_seen", .time), .required("last_seen", .time),
        .required(
            "evidence",
            .array(of: .object([.required("escalation_id", .uuid)], isOpen: true)),
            "The newest escalations it is made of."
        ),
    ])
}
