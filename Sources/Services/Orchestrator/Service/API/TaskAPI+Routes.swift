internal import Contracts
internal import HTTPEdge
internal import HTTPTypes

/// The routes of tasks and agents as data: who may call them, what they take and answer.
extension TaskAPI {
    var routes: [Route] {
        [
            Route(
                .post, "/tasks", access: .require(.taskCreate), rateLimit: .byHandler, operation: Self.submitOperation,
                handler: submit
            ),
            Route(.get, "/tasks", access: .require(.taskRead), operation: Self.listOperation, handler: list),
            Route(.get, "/tasks/{id}", access: .require(.taskRead), operation: Self.showOperation, handler: show),
            Route(
                .get, "/tasks/{id}/events", access: .require(.taskRead), operation: Self.eventsOperation,
                handler: events
            ),
            Route(
                .post, "/tasks/{id}/cancel", access: .require(.taskCancel), operation: Self.cancelOperation,
                handler: cancel
            ),
            Route(
                .get, "/tasks/{id}/explain", access: .require(.taskRead), operation: Self.explainOperation,
                handler: explain
            ),
            approvalRoute,
            Route(.get, "/agents", access: .require(.agentRead), operation: Self.agentsOperation, handler: listAgents),
        ]
    }

    static let schemas: [(name: String, schema: Schema)] = [
        ("Task", task), ("TaskSubmission", submission), ("TaskEvent", event), ("Agent", agent),
    ]

    private static let id = Parameter(.path, "id", .uuid, "The task's id.")

    private static let submitOperation = Operation(
        id: "submitTask", summary: "Accepts a task.", tag: "tasks",
        parameters: [
            .idempotencyKey(
                "Makes a retry safe: the same key and body are accepted once and answered alike for 24 hours."
            )
        ],
        body: Body(
            .named("TaskSubmission"),
            example: JSONWriter.object { writer in
                writer.field("role", "developer")
                writer.field("input", object: { $0.field("text", "hello") })
            }
        ),
        answers: [
            Answer(
                .accepted, "The task is kept and will reach exactly one terminal state.", .json(.named("Task")),
                headers: [("Location", .text()), ("Idempotent-Replayed", .text())]
            )
        ],
        problems: [.idempotencyMismatch, .budgetExhausted, .budgetBlocked, .taskEnded]
    )

    private static let listOperation = Operation(
        id: "listTasks", summary: "Lists the tenant's tasks, newest first, without input and output.", tag: "tasks",
        parameters: [
            Parameter(.query, "state", .choice(TaskState.allCases.map(\.rawValue)), "Only tasks in this state."),
            Parameter(.query, "workflow", .name, "Only tasks of this workflow."),
            Parameter(.query, "parent", .uuid, "Only parts of this task."),
        ] + Parameter.page,
        answers: [.page("tasks", of: "Task")]
    )

    private static let showOperation = Operation(
        id: "getTask", summary: "Shows one task with input and output.", tag: "tasks", parameters: [id],
        answers: [Answer(.ok, "The task.", .json(.named("Task")))], problems: [.notFound]
    )

    private static let eventsOperation = Operation(
        id: "getTaskEvents",
        summary: "The task's history: one page of JSON, or a stream that goes on until the task ends.", tag: "tasks",
        parameters: [
            id,
            Parameter(.query, "after", .integer(0...Int(Int32.max)), "Only events after this number."),
            Parameter(.query, "limit", .integer(1...Page.rowsMax), "Events on one page; a stream has no pages."),
            Parameter(
                .header, "Last-Event-ID", .integer(0...Int(Int32.max)), "Where a stream goes on; goes before `after`."
            ),
        ],
        answers: [
            Answer(
                .ok, "Events in their order.",
                .jsonOrText(
                    .object([
                        .required("events", .array(of: .named("TaskEvent"))),
                        .optional("next_after", .integer(), "Absent on the last page."),
                        .required("ended", .boolean, "True when the task's last event is on this page."),
                    ]),
                    EventStream.contentType
                )
            ),
            Answer(.noContent, "The client of a stream has the task's last event already.", .none),
        ],
        problems: [.notFound]
    )

    private static let cancelOperation = Operation(
        id: "cancelTask", summary: "Cancels a task.", tag: "tasks", parameters: [id],
        body: Body(
            .object([.optional("reason", .nullable(.text(min: 1, max: reasonMax)))]), isRequired: false
        ),
        answers: [
            Answer(.accepted, "Its agent was asked to stop.", .json(.named("Task"))),
            Answer(.ok, "It is canceled.", .json(.named("Task"))),
        ],
        problems: [.notFound, .taskEnded]
    )

    private static let explainOperation = Operation(
        id: "explainTask", summary: "Says why the task is where it is.", tag: "tasks", parameters: [id],
        answers: [
            Answer(
                .ok, "The explanation.",
                .json(
                    .object([
                        .required("task_id", .uuid), .required("state", .choice(TaskState.allCases.map(\.rawValue))),
                        .required("summary", .text()), .required("details", .array(of: .text())),
                        .optional("next", .text(), "What could be done about it."),
                    ])
                )
            )
        ],
        problems: [.notFound]
    )

    private static let agentsOperation = Operation(
        id: "listAgents", summary: "Lists the agents online, and those that were here before.", tag: "agents",
        answers: [
            Answer(.ok, "The agents.", .json(.object([.required("agents", .array(of: .named("Agent")))])))
        ]
    )
}
