internal import Contracts
internal import Coordination
internal import HTTPEdge
internal import HTTPTypes

/// The routes of circuit breakers as data: who may call them, what they take and answer.
extension BreakerAPI {
    var routes: [Route] {
        [
            Route(
                .get, "/circuit-breakers", access: .require(.breakerRead), operation: Self.listOperation, handler: list
            ),
            Route(
                .post, "/admin/circuit-breaker/reset", access: .require(.breakerReset), operation: Self.resetOperation,
                handler: reset
            ),
            Route(
                .post, "/admin/circuit-breaker/force-open", access: .require(.breakerReset),
                operation: Self.modeOperation("forceCircuitBreakerOpen", "Lets no call through."), handler: forceOpen
            ),
            Route(
                .post, "/admin/circuit-breaker/disable", access: .require(.breakerReset),
                operation: Self.modeOperation("disableCircuitBreaker", "Lets every call through and counts none."),
                handler: disable
            ),
            Route(
                .post, "/admin/circuit-breaker/metrics-only", access: .require(.breakerReset),
                operation: Self.modeOperation(
                    "countCircuitBreaker", "Lets every call through and counts them, but never opens."),
                handler: countOnly
            ),
        ]
    }

    static let schemas: [(name: String, schema: Schema)] = [("CircuitBreaker", breaker)]

    private static let states = Schema.choice(["closed", "half_open", "open"])

    private static let breaker = Schema.object([
        .required("name", .text()), .required("state", states),
        .required("mode", .choice(BreakerMode.allCases.map(\.word))),
        .required("version", .integer(), "Raised by every transition; for If-Match."),
        .required("shared", .boolean, "False while the fleet's state cannot be asked and replicas decide alone."),
        .optional("reason", .text(), "The last command's."), .optional("actor", .text(), "Who gave the last command."),
        .required("in_state_seconds", .integer()),
        .optional("half_open_in_seconds", .integer(), "While open: until probes are let through."),
        .optional("expires_in_seconds", .integer(), "Until the mode is automatic again."),
        .optional("probes", .integer(), "While half-open: probes let through, all replicas together."),
        .optional("probes_succeeded", .integer()),
        .optional(
            "here",
            .object([
                .required("state", states), .required("decided_by", .choice(["replica", "fleet", "operator"])),
                .required("calls", .integer()), .required("failures", .integer()), .required("slow", .integer()),
            ]),
            "The replica that answers; counts are of the last ten seconds."
        ),
        .required(
            "votes",
            .array(
                of: .object([
                    .required("replica", .text()), .required("state", states, "Of the replica's own breaker."),
                    .required("votes_open", .boolean), .required("calls", .integer()),
                    .required("failures", .integer()), .required("slow", .integer()),
                ])
            ),
            "What each replica reported last."
        ),
    ])

    private static let listOperation = Operation(
        id: "listCircuitBreakers", summary: "Shows every circuit breaker: the fleet's state and each replica's vote.",
        tag: "operations",
        answers: [
            Answer(
                .ok, "The breakers, by name.",
                .json(.object([.required("circuit_breakers", .array(of: .named("CircuitBreaker")))]))
            )
        ]
    )

    private static let ifMatch = Parameter(
        .header, "If-Match", .text(max: 32), "The version to change, from an ETag; any when absent."
    )

    private static let name = Schema.text(min: 1, max: BreakerRegistry.nameBytesMax)
    private static let reason = Schema.text(min: 1, max: BreakerRequests.reasonMax)

    private static let changed = [
        Answer(
            .ok, "The breaker as it is now, on every replica within a second.", .json(.named("CircuitBreaker")),
            headers: [("ETag", .text())]
        )
    ]

    private static let resetOperation = Operation(
        id: "resetCircuitBreaker",
        summary: "Closes a breaker, clears its window on every replica, and ends any other mode.", tag: "operations",
        parameters: [ifMatch],
        body: Body(
            .object([.required("name", name), .optional("reason", .nullable(reason))]),
            example: JSONWriter.object { $0.field("name", "external_api") }
        ),
        answers: changed, problems: [.notFound, .preconditionFailed]
    )

    private static func modeOperation(_ id: String, _ summary: String) -> Operation {
        Operation(
            id: id, summary: summary, tag: "operations", parameters: [ifMatch],
            body: Body(
                .object([
                    .required("name", name), .required("reason", reason),
                    .optional(
                        "expires_in_seconds", .nullable(.integer(1...BreakerRequests.secondsMax)),
                        "Until the breaker is automatic again; never by itself when absent."
                    ),
                ]),
                example: JSONWriter.object { writer in
                    writer.field("name", "external_api")
                    writer.field("reason", "maintenance")
                    writer.field("expires_in_seconds", 600)
                }
            ),
            answers: changed, problems: [.notFound, .preconditionFailed]
        )
    }
}
