internal import Contracts
internal import HTTPEdge
internal import HTTPTypes
internal import Storage

/// The escalation routes as data: who may call them, what they take and answer.
extension EscalationAPI {
    var routes: [Route] {
        [
            Route(
                .get, "/escalations", access: .require(.escalationRead), operation: Self.listOperation, handler: list
            ),
            Route(
                .get, "/escalations/{id}", access: .require(.escalationRead), operation: Self.showOperation,
                handler: show
            ),
            Route(
                .post, "/escalations/{id}/resolve", access: .require(.escalationResolve),
                operation: Self.resolveOperation, handler: resolve
            ),
        ]
    }

    static let schemas: [(name: String, schema: Schema)] = [("Escalation", escalation)]

    private static let escalation = Schema.object([
        .required("id", .uuid), .required("tenant", .name), .required("task_id", .uuid),
        .required("attempt", .integer()), .optional("role", .name, "Whose work it is about."),
        .required("source", .text(), "Where the trouble came from."), .required("reason", .text()),
        .optional("guard", .choice(Guard.allCases.map(\.rawValue)), "The guard that kept failing."),
        .optional("session_id", .uuid, "The review that brought it about."),
        .optional("classification", .choice(EscalationCause.Classification.allCases.map(\.rawValue))),
        .required("severity", .choice(Severity.allCases.map(\.rawValue)), "Raised while it waits for a human."),
        .required("rework", .integer(), "Rounds of rework before it."),
        .required("state", .choice(Escalation.Status.allCases.map(\.rawValue))), .required("created_at", .time),
        .optional("waits_because", .choice(HumanReason.allCases.map(\.rawValue)), "Why a human has to decide."),
        .optional("waiting_since", .time),
        .optional("rule", .text(), "By which rule the supervisor decided; `analyst` when an agent's answer did."),
        .optional("decision", .anything, "What it decided; carried out when it is the resolution."),
        .optional("analyst", .text(), "The agent that was asked, once it answered."),
        .optional("analysis", .anything, "What it answered."),
        .optional("resolution", .text()), .optional("plan", .anything), .optional("resolved_by", .text()),
        .optional("notes", .text()), .optional("resolved_at", .time),
    ])

    private static let id = Parameter(.path, "id", .uuid, "The escalation's id.")

    private static let listOperation = Operation(
        id: "listEscalations", summary: "Lists the tenant's escalations, newest first.", tag: "escalations",
        parameters: [
            Parameter(.query, "state", .choice(State.allCases.map(\.rawValue)), "Only those; all when absent."),
            Parameter(.query, "task", .uuid, "Only those of this task."),
        ] + Parameter.page,
        answers: [.page("escalations", of: "Escalation")]
    )

    private static let showOperation = Operation(
        id: "getEscalation", summary: "Shows one escalation.", tag: "escalations", parameters: [id],
        answers: [Answer(.ok, "The escalation.", .json(.named("Escalation")))], problems: [.notFound]
    )

    private static let resolveOperation = Operation(
        id: "resolveEscalation", summary: "Says what becomes of the escalated task.", tag: "escalations",
        parameters: [id],
        body: Body(
            .object([
                .required(
                    "resolution", .choice(Resolution.Word.allCases.map(\.rawValue)),
                    "retry: its work once more; reassign: by another role; lower_scope: less of it; raise_deadline: "
                        + "with more time; approve: what was made is good; reject and cancel end the task."
                ),
                .optional(
                    "plan", .anything,
                    "Handed to the agent, instead of what stands there; at most 16 KiB. Required with lower_scope, "
                        + "allowed with retry, reassign and raise_deadline."
                ),
                .optional("role", .nullable(.name), "Required with reassign."),
                .optional(
                    "timeout_seconds", .nullable(.integer(Resolution.secondsRange)),
                    "Required with raise_deadline: for each attempt, or for the question to a human."
                ),
                .optional("reason", .nullable(.text(min: 1, max: 500)), "Required with reject; allowed with cancel."),
            ])
        ),
        answers: [Answer(.ok, "The escalation, resolved.", .json(.named("Escalation")))],
        problems: [.notFound, .conflict]
    )
}
