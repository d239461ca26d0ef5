internal import Contracts
internal import HTTPEdge
internal import HTTPTypes
internal import Storage

/// The governance routes as data: who may call them, what they take and answer.
extension GovernanceAPI {
    var routes: [Route] {
        [
            Route(
                .get, "/governance/status", access: .require(.learningRead), operation: Self.statusOperation,
                handler: status
            ),
            Route(
                .get, "/governance/stats", access: .require(.learningRead), operation: Self.statsOperation,
                handler: stats
            ),
            Route(
                .get, "/governance/patterns", access: .require(.learningRead), operation: Self.patternsOperation,
                handler: patterns
            ),
            Route(
                .get, "/governance/prompts", access: .require(.learningRead), operation: Self.listOperation,
                handler: list
            ),
            Route(
                .get, "/governance/prompts/{id}", access: .require(.learningRead), operation: Self.showOperation,
                handler: show
            ),
            Route(
                .post, "/governance/prompts", access: .require(.learningPropose), operation: Self.proposeOperation,
                handler: propose
            ),
            Route(
                .post, "/governance/prompts/{id}/approve", access: .require(.learningApprove),
                operation: Self.approveOperation, handler: approve
            ),
            Route(
                .post, "/governance/prompts/{id}/reject", access: .require(.learningApprove),
                operation: Self.rejectOperation, handler: reject
            ),
            Route(
                .post, "/governance/prompts/{id}/activate", access: .require(.learningApprove),
                operation: Self.activateOperation, handler: activate
            ),
            Route(
                .put, "/governance/rules/{role}", access: .require(.governanceConfigure),
                operation: Self.rulesOperation, handler: setRules
            ),
        ]
    }

    private static let id = Parameter(.path, "id", .integer(PromptID.range), "The prompt's id.")

    private static let statusOperation = Operation(
        id: "getGovernanceStatus", summary: "Shows per role how fast its prompt may change, and whether it may now.",
        tag: "governance",
        parameters: [Parameter(.query, "role", .name, "Only this role.")],
        answers: [
            Answer(
                .ok, "The roles that have rules, by name.",
                .json(.object([.required("roles", .array(of: .named("RoleGovernance")))]))
            )
        ]
    )

    private static let statsOperation = Operation(
        id: "getLearningStats", summary: "Counts per role what became of proposals.", tag: "governance",
        answers: [
            Answer(
                .ok, "The roles, by name.",
                .json(.object([.required("roles", .array(of: .named("LearningStats")))]))
            )
        ]
    )

    private static let patternsOperation = Operation(
        id: "listPatterns",
        summary: "Lists failures that recurred and what was proposed because of them, newest first.",
        tag: "governance",
        parameters: [
            Parameter(.query, "role", .name, "Only of this role."),
            Parameter(
                .query, "status", .choice(LearnedPattern.Status.allCases.map(\.rawValue)), "Only with this status."),
        ] + Parameter.page,
        answers: [.page("patterns", of: "LearnedPattern")]
    )

    private static let listOperation = Operation(
        id: "listPrompts", summary: "Lists the proposed versions of prompts, newest first, without their text.",
        tag: "governance",
        parameters: [
            Parameter(.query, "role", .name, "Only of this role."),
            Parameter(.query, "status", .choice(PromptStatus.allCases.map(\.rawValue)), "Only with this status."),
        ] + Parameter.page,
        answers: [.page("prompts", of: "Prompt")]
    )

    private static let showOperation = Operation(
        id: "getPrompt", summary: "Shows one version with its text and what it changes.", tag: "governance",
        parameters: [id], answers: [Answer(.ok, "The version.", .json(.named("PromptDocument")))],
        problems: [.notFound]
    )

    private static let proposeOperation = Operation(
        id: "proposePrompt",
        summary: "Proposes a new version of a role's prompt. Governance makes it active, queues it for a human, or "
            + "blocks it, and says why and until when.",
        tag: "governance",
        body: Body(
            .object([
                .required("role", .name),
                .required("content", .text(min: 1, max: PromptProposal.contentBytesMax), "The whole prompt."),
                .required(
                    "base_version", .integer(PromptProposal.baseRange),
                    "The active version it was made from, 0 for none; refused when another is active by now."
                ),
                .required("reason", words, "What was learned."),
            ]),
            example: JSONWriter.object { writer in
                writer.field("role", "developer")
                writer.field("content", "Write a failing test first.")
                writer.field("base_version", 0)
                writer.field("reason", "Three changes in a row came without tests.")
            }
        ),
        answers: [
            Answer(
                .created, "Filed; the verdict says what became of it.", .json(.named("FiledPrompt")),
                headers: [("Location", .text())]
            )
        ],
        problems: [.conflict]
    )

    private static let notes = Body(.object([.optional("notes", .nullable(words))]), isRequired: false)

    private static let approveOperation = Operation(
        id: "approvePrompt",
        summary: "Makes a waiting or blocked version active. Nobody approves what they proposed.", tag: "governance",
        parameters: [id], body: notes,
        answers: [Answer(.ok, "The version, active now.", .json(.named("Prompt")))],
        problems: [.selfApproval, .notFound, .conflict]
    )

    private static let rejectOperation = Operation(
        id: "rejectPrompt", summary: "Ends a waiting or blocked version.", tag: "governance", parameters: [id],
        body: notes, answers: [Answer(.ok, "The version, rejected.", .json(.named("Prompt")))],
        problems: [.notFound, .conflict]
    )

    private static let activateOperation = Operation(
        id: "activatePrompt",
        summary: "Rolls a role back to a version that was approved once, whatever cooldown and limit say.",
        tag: "governance", parameters: [id], body: Body(.object([.required("reason", words)])),
        answers: [Answer(.ok, "The version, active now.", .json(.named("Prompt")))], problems: [.notFound, .conflict]
    )

    private static let rulesOperation = Operation(
        id: "setGovernanceRules", summary: "Sets how fast a role's prompt may change by itself.", tag: "governance",
        parameters: [
            Parameter(.path, "role", .name, "The role."),
            Parameter(
                .header, "If-Match", .text(max: 32),
                "The rules_version to replace, from an ETag; \"none\" for a role without rules; any when absent."
            ),
        ],
        body: Body(
            .object([
                .required("max_updates_per_day", .integer(GovernanceRules.updatesRange), "0: none by itself."),
                .required("cooldown_hours", .integer(GovernanceRules.cooldownRange), "Between two updates."),
                .required("require_human_approval", .boolean),
            ])
        ),
        answers: [
            Answer(
                .ok, "The role as it is now.", .json(.named("RoleGovernance")), headers: [("ETag", .text())]
            )
        ],
        problems: [.preconditionFailed]
    )
}
