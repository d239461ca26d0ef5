internal import Contracts
internal import HTTPEdge

/// The shapes that the routes' bodies and answers have.
extension TaskAPI {
    static let submission = Schema.object([
        .optional("name", .nullable(.text(min: 1, max: 120, pattern: "^[A-Za-z0-9 ._/:-]+$")), "A label for people."),
        .optional(
            "workflow", .nullable(.name),
            "`single` when absent, `reviewed`, `gated`, `code`, or a tenant's own."),
        .optional("project", .nullable(.name), "`default` when absent."),
        .optional("role", .nullable(.name), "Which agents do the first stage; the workflow says when absent."),
        .optional("priority", .nullable(.integer(TaskSubmission.priorityRange)), "9 goes first among one's own; 5."),
        .optional("timeout_seconds", .nullable(.integer(TaskSubmission.timeoutRange)), "For one attempt."),
        .optional("max_attempts", .nullable(.integer(TaskSubmission.attemptsRange)), "For one stage."),
        .optional(
            "labels",
            .nullable(
                .map(of: .text(max: 200), names: "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$", max: TaskSubmission.labelsMax)
            ),
            "Texts of at most 200 characters."
        ),
        .optional(
            "budget_tokens", .nullable(.integer(TaskSubmission.budgetRange)),
            "What its agents may use, all attempts together; held on the budgets until it ends."
        ),
        .optional("parent_id", .nullable(.uuid), "The task that this one is a part of; its budget pays."),
        .optional(
            "callback_url", .nullable(.text(min: 1, max: WebhookURL.bytesMax, format: "uri")),
            "Where the task's last event is sent; see webhooks."
        ),
        .optional("input", .anything, "Handed to agents byte for byte."),
    ])

    static let task = Schema.object([
        .required("id", .uuid), .required("tenant", .name), .required("project", .name), .optional("name", .text()),
        .required("workflow", .name), .required("workflow_version", .integer()),
        .required("state", .choice(TaskState.allCases.map(\.rawValue))), .required("stage", .text()),
        .required("role", .name), .required("priority", .integer(TaskSubmission.priorityRange)),
        .required("attempt", .integer(), "Attempts so far, over all stages."),
        .required("max_attempts", .integer(), "Attempts allowed at one stage."),
        .required("timeout_seconds", .integer(), "For one attempt."),
        .required("labels", .map(of: .text())),
        .optional("parent_id", .uuid), .optional("budget_tokens", .integer(), "What agents may use."),
        .optional("callback_url", .text()),
        .required("usage_tokens", .integer(), "What agents reported to have used."),
        .optional("prompt_version", .integer(), "Of the role's prompt that the last attempt was handed."),
        .optional("agent", .text(), "The agent that reported last."),
        .required("rework", .integer(0...Workflow.reworkMax), "How often its work was sent back by itself."),
        .optional("plan", .anything, "What the next attempts are asked to do about the ones before."),
        .optional("review_round", .integer(), "The number of its last review."),
        .optional("execution_id", .uuid, "While the sandbox runs its tests."),
        .optional("review_session_id", .uuid, "While its peers review it: their session."),
        .optional("approval_id", .uuid, "While it waits for approval: the question that is open."),
        .optional("escalation_id", .uuid, "While it is escalated."),
        .required("created_at", .time), .required("updated_at", .time),
        .optional("run_at", .time, "While queued: the next attempt starts no sooner."),
        .optional("deadline", .time, "While somebody works or is asked: what comes later is lost."),
        .optional("ended_at", .time), .optional("cancel_reason", .text()),
        .optional("error", .object([.required("code", .text()), .required("message", .text())])),
        .optional("input", .anything, "Not in lists."), .optional("output", .anything, "Once completed; not in lists."),
        .optional("draft", .anything, "What its stages have made so far and what is judged; not in lists."),
        .optional("reviews", .array(of: review), "Its reviews, the first first; not in lists."),
    ])

    private static let review = Schema.object([
        .required("session_id", .uuid), .required("round", .integer()),
        .required("status", .choice(ReviewStatus.allCases.map(\.rawValue))),
        .optional("score", .number, "Once decided."), .optional("summary", .text(), "Once decided: why."),
    ])

    static let event = Schema.object([
        .required("v", .integer(1...1)), .required("task_id", .uuid), .required("tenant", .name),
        .required("seq", .integer(), "Counts from 1 without gaps; the id in a stream."),
        .required("type", .choice(TaskEvent.Kind.allCases.map(\.rawValue))), .required("at", .time),
        .required("attempt", .integer()), .required("data", .object([], isOpen: true)),
    ])

    static let agent = Schema.object([
        .required("id", .name), .required("state", .choice(["online", "offline"])),
        .required("roles", .array(of: .name)), .required("slots", .integer()), .required("busy", .integer()),
        .required("owner", .text()), .required("version", .text()), .required("last_seen", .time),
    ])
}
