internal import Contracts
internal import HTTPEdge
internal import HTTPTypes
internal import Storage

/// The budget routes as data: who may call them, what they take and answer.
extension BudgetAPI {
    var routes: [Route] {
        [
            Route(
                .post, "/budget/request", access: .require(.budgetUse), rateLimit: .byHandler,
                operation: Self.requestOperation, handler: request
            ),
            Route(
                .post, "/budget/commit", access: .require(.budgetUse), operation: Self.commitOperation, handler: commit
            ),
            Route(
                .post, "/budget/release", access: .require(.budgetUse), operation: Self.releaseOperation,
                handler: release
            ),
            Route(.get, "/budget/state", access: .require(.budgetRead), operation: Self.stateOperation, handler: state),
            Route(
                .get, "/budget/reservations", access: .require(.budgetRead), operation: Self.listOperation,
                handler: listReservations
            ),
            Route(
                .put, "/budget/limits", access: .require(.budgetConfigure), operation: Self.limitOperation,
                handler: setLimit
            ),
            Route(
                .get, "/budget/verification", access: .require(.budgetConfigure), operation: Self.verifyOperation,
                handler: verify
            ),
        ]
    }

    private static let replayed: (name: String, schema: Schema) = ("Idempotent-Replayed", .text())

    private static let requestOperation = Operation(
        id: "requestBudget",
        summary: "Holds tokens on the project's and the tenant's budget. Repeating it is safe: a request_id is "
            + "granted or denied once.",
        tag: "budget",
        body: Body(
            .object([
                .required("request_id", requestID, "Unique within the project."),
                .optional("tokens", .nullable(.integer(BudgetRequests.amountRange)), "How many to hold."),
                .optional("amount", .nullable(.integer(BudgetRequests.amountRange)), "The same as tokens; send one."),
                .optional("project", .nullable(.name), "`default` when absent; `all-projects` is the tenant's own."),
                .optional(
                    "ttl_seconds", .nullable(.integer(ReservationRequest.secondsRange)),
                    "After which the hold expires; \(ReservationRequest.secondsDefault) when absent."
                ),
                .optional("task_id", .nullable(.uuid), "What it is for."),
            ]),
            example: JSONWriter.object { writer in
                writer.field("request_id", "unique-123")
                writer.field("tokens", 1000)
            }
        ),
        answers: [
            Answer(.created, "Held.", .json(.named("BudgetGrant"))),
            Answer(.ok, "Held before by the same request.", .json(.named("BudgetGrant")), headers: [replayed]),
        ],
        problems: [.budgetExhausted, .budgetBlocked, .idempotencyMismatch]
    )

    private static let commitOperation = Operation(
        id: "commitBudget",
        summary: "Ends a hold and books what was used. Usage beyond the hold, or after it expired, is booked as "
            + "overage and blocks the budget until its limit is raised.",
        tag: "budget",
        body: Body(
            .object([
                .required("request_id", requestID), .required("actual", .integer(BudgetRequests.actualRange)),
                .optional("project", .nullable(.name), "`default` when absent."),
            ])
        ),
        answers: [Answer(.ok, "Booked, now or before.", .json(.named("Reservation")), headers: [replayed])],
        problems: [.notFound, .conflict]
    )

    private static let releaseOperation = Operation(
        id: "releaseBudget", summary: "Ends a hold of which nothing was used.", tag: "budget",
        body: Body(
            .object([
                .required("request_id", requestID), .optional("project", .nullable(.name), "`default` when absent."),
            ])
        ),
        answers: [Answer(.ok, "Released, now or before.", .json(.named("Reservation")), headers: [replayed])],
        problems: [.notFound, .conflict]
    )

    private static let stateOperation = Operation(
        id: "getBudgetState", summary: "Shows the tenant's accounts, or those that one project is charged to.",
        tag: "budget",
        parameters: [
            Parameter(.query, "project", .name, "Only the accounts this project is charged to.")
        ] + Parameter.page,
        answers: [
            Answer(
                .ok, "The accounts. With `project`: whether anything limits it, and what it could reserve now.",
                .json(
                    .object([
                        .required("accounts", .array(of: .named("BudgetAccount"))), .optional("project", .name),
                        .optional("limited", .boolean), .optional("available", .integer(), "Absent when unlimited."),
                        Answer.nextCursor,
                    ])
                )
            )
        ]
    )

    private static let listOperation = Operation(
        id: "listReservations", summary: "Lists the tenant's reservations by project and request_id.", tag: "budget",
        parameters: [
            Parameter(.query, "project", .name, "Only of this project."),
            Parameter(.query, "state", .choice(Reservation.State.allCases.map(\.rawValue)), "Only in this state."),
        ] + Parameter.page,
        answers: [.page("reservations", of: "Reservation")]
    )

    private static let limitOperation = Operation(
        id: "setBudgetLimit", summary: "Opens an account, or changes its limit. Raising it lifts a block.",
        tag: "budget",
        parameters: [
            Parameter(
                .header, "If-Match", .text(pattern: "^(\\*|\"?[0-9]{1,10}\"?)$"),
                "The version to change, from an ETag; 0 for an account that must not exist yet; any when absent."
            )
        ],
        body: Body(
            .object([
                .required("project", .name, "`all-projects` is the tenant's own budget."),
                .required("total_limit", .integer(BudgetRequests.actualRange), "In tokens."),
            ])
        ),
        answers: [
            Answer(.ok, "The account as it is now.", .json(.named("BudgetAccount")), headers: [("ETag", .text())])
        ],
        problems: [.preconditionFailed]
    )

    private static let verifyOperation = Operation(
        id: "verifyBudget", summary: "Adds up the tenant's ledger and holds and names the accounts that differ.",
        tag: "budget",
        answers: [
            Answer(
                .ok, "What was found.",
                .json(
                    .object([
                        .required("consistent", .boolean),
                        .required(
                            "differences",
                            .array(
                                of: .object([
                                    .required("project", .name), .required("sum", .text()),
                                    .required("found", .integer()), .required("expected", .integer()),
                                ])
                            )),
                    ])
                )
            )
        ]
    )
}
