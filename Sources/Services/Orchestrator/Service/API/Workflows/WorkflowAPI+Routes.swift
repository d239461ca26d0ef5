internal import Contracts
internal import HTTPEdge
internal import HTTPTypes

/// The workflow routes as data: who may call them, what they take and answer.
extension WorkflowAPI {
    var routes: [Route] {
        [
            Route(
                .get, "/workflows", access: .require(.workflowRead), operation: Self.listOperation, handler: list
            ),
            Route(
                .get, "/workflows/{name}", access: .require(.workflowRead), operation: Self.showOperation,
                handler: show
            ),
            Route(
                .put, "/workflows/{name}", access: .require(.workflowConfigure), operation: Self.putOperation,
                handler: put
            ),
        ]
    }

    static let schemas: [(name: String, schema: Schema)] = [
        ("Workflow", workflow), ("WorkflowDefinition", .object(definition)),
    ]

    private static let seat = Schema.object([
        .required("role", .name), .required("weight", .number, "From 0, with at most four decimal places."),
    ])

    private static let stage = Schema.object([
        .required("name", .name, "Unique within the workflow."),
        .required(
            "kind", .choice(["work", "execute", "review", "approve"]),
            "An agent works, the sandbox runs the tests of what was made, peers vote on it, or a human approves it."
        ),
        .optional("role", .nullable(.name), "Of work, and required there: which agents do it."),
        .optional("state", .nullable(.choice(["developing", "deploying"])), "Of work: what the task shows meanwhile."),
        .optional(
            "timeout_seconds", .nullable(.integer(Stage.approvalSeconds)),
            "Of work for one attempt, up to a day, \(Stage.timeoutDefaultSeconds) when absent; of a run in the sandbox "
                + "until its result, up to an hour, \(Stage.executionDefaultSeconds) when absent; of a review until "
                + "the "
                + "votes' deadline, up to a day, \(ReviewRequest.secondsDefault) when absent; of an approval until it "
                + "is escalated, \(Stage.approvalDefaultSeconds) when absent."
        ),
        .optional(
            "reviewers", .nullable(.array(of: seat, max: ReviewTerms.seatsMax)),
            "Of a review: who votes with what weight; the five roles of a session when absent."
        ),
        .optional(
            "quorum", .nullable(.number),
            "Of a review: the share of all weights that approves; \(ReviewTerms.quorumDefault) when absent."
        ),
        .optional(
            "max_attempts", .nullable(.integer(TaskSubmission.attemptsRange)),
            "Of work, \(Stage.attemptsDefault) when absent; of a run in the sandbox, "
                + "\(Stage.executionAttemptsDefault)."
        ),
        .optional("language", .nullable(.name), "Of a run in the sandbox: whose tests to find; `python` when absent."),
        .optional("limits", .nullable(SandboxAPI.limits), "Of a run in the sandbox; see `POST /sandbox/execute`."),
        .optional(
            "cpu_ms_max", .nullable(.integer(ExecuteTerms.cpuMillisecondsRange)),
            "Of a run in the sandbox: the CPU time with which `performance_ok` holds."
        ),
        .optional(
            "guards", .nullable(.array(of: .choice(Guard.allCases.map(\.rawValue)), max: Guard.allCases.count)),
            "Of work: what its output must declare under `checks`, or it is sent back. Of a run in the sandbox: "
                + "`has_tests` (which is meant when absent) and `performance_ok`."
        ),
    ])

    private static let definition: [Schema.Field] = [
        .required("stages", .array(of: stage, max: Workflow.stagesRange.upperBound), "The first is one of work."),
        .optional("escalate_on_failure", .boolean, "A task that fails for good is escalated instead; false."),
    ]

    private static let workflow = Schema.object(
        [
            .required("name", .name), .required("version", .integer()),
            .required("built_in", .boolean, "Every installation has it."),
        ] + definition + [.optional("created_by", .text()), .optional("created_at", .time)])

    private static let name = Parameter(.path, "name", .name, "The workflow's name.")

    private static let listOperation = Operation(
        id: "listWorkflows", summary: "Lists the newest version of each workflow a task may name.", tag: "workflows",
        parameters: Parameter.page,
        answers: [.page("workflows", of: "Workflow")]
    )

    private static let showOperation = Operation(
        id: "getWorkflow", summary: "Shows one workflow.", tag: "workflows",
        parameters: [name, Parameter(.query, "version", .integer(1...Int(Int32.max)), "The newest when absent.")],
        answers: [Answer(.ok, "The workflow.", .json(.named("Workflow")), headers: [("ETag", .text())])],
        problems: [.notFound]
    )

    private static let putOperation = Operation(
        id: "putWorkflow",
        summary: "Stores the next version of a workflow of the tenant. Tasks that run keep the version they have.",
        tag: "workflows",
        parameters: [
            name,
            Parameter(
                .header, "If-Match", .text(pattern: "^(\\*|\"?[0-9]{1,10}\"?)$"),
                "The version it is to follow, from an ETag; 0 for a new workflow; any when absent."
            ),
        ],
        body: Body(
            .named("WorkflowDefinition"),
            example: JSONWriter.object { writer in
                writer.field(
                    "stages",
                    array: { writer in
                        writer.element(object: {
                            $0.field("name", "work")
                            $0.field("kind", "work")
                            $0.field("role", "developer")
                        })
                        writer.element(object: {
                            $0.field("name", "sign-off")
                            $0.field("kind", "approve")
                        })
                    })
            }
        ),
        answers: [
            Answer(.created, "The new version.", .json(.named("Workflow")), headers: [("ETag", .text())]),
            Answer(
                .ok, "The newest version says the same: nothing was stored.", .json(.named("Workflow")),
                headers: [("ETag", .text())]),
        ],
        problems: [.preconditionFailed, .conflict]
    )
}
