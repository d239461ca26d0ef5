internal import Contracts
internal import HTTPEdge
internal import HTTPTypes

/// The routes of rate limits as data.
extension RateLimitAPI {
    var routes: [Route] {
        [
            Route(
                .get, "/admin/rate-limits", access: .require(.limitsRead), operation: Self.showOperation, handler: show
            ),
            Route(
                .put, "/admin/rate-limits", access: .require(.limitsConfigure), operation: Self.replaceOperation,
                handler: replace
            ),
        ]
    }

    /// Their operations' ids, for which limits may be set like for all others.
    static let operationIDs = [showOperation.id, replaceOperation.id]

    static let schemas: [(name: String, schema: Schema)] = [("RateLimits", rateLimits), ("RateLimitRules", rules)]

    private static let showOperation = Operation(
        id: "getRateLimits", summary: "Shows the rate limits in force, and who is nearest to one.", tag: "operations",
        answers: [Answer(.ok, "The limits.", .json(.named("RateLimits")), headers: [("ETag", .text())])]
    )

    private static let replaceOperation = Operation(
        id: "setRateLimits",
        summary: "Sets the rate limits of all replicas. The document is laid over the built-in limits, entry by entry; "
            + "null takes a limit out.",
        tag: "operations",
        parameters: [
            Parameter(
                .header, "If-Match", .text(pattern: "^(\\*|\"?[0-9]{1,10}\"?)$"),
                "The version to change, from an ETag; 0 while the start-up configuration counts.", isRequired: true
            )
        ],
        body: Body(
            .named("RateLimitRules"),
            example: JSONWriter.object { writer in
                writer.field(
                    "roles",
                    object: { writer in
                        writer.field(
                            "developer",
                            object: {
                                $0.field("limit", 60)
                                $0.field("burst", 20)
                            })
                    })
            }
        ),
        answers: [
            Answer(
                .ok, "The limits, in force here now and on every replica within seconds.", .json(.named("RateLimits")),
                headers: [("ETag", .text())]
            )
        ],
        problems: [.preconditionFailed, .preconditionRequired]
    )

    private static func section(_ range: ClosedRange<Int>, _ names: String) -> Schema {
        .nullable(
            .map(
                of: .nullable(
                    .object([
                        .required("limit", .integer(range)),
                        .optional("period_seconds", .integer(RateLimitRules.periodRange), "60 when absent."),
                        .optional("burst", .integer(range), "At once; the limit when absent."),
                    ])),
                names: names, max: RateLimitRules.entriesMax
            ))
    }

    private static let tenantNames = "^(\\*|[A-Za-z0-9][A-Za-z0-9_-]{0,62})$"

    private static let labels = "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}=[\\s\\S]{0,200}$"

    private static let rules = Schema.object([
        .optional(
            "roles", section(RateLimitRules.limitRange, "^(\(Role.allCases.map(\.rawValue).joined(separator: "|")))$"),
            "Each caller's requests, by role; anonymous is each address."
        ),
        .optional(
            "tenants", section(RateLimitRules.limitRange, tenantNames),
            "All requests of one tenant; * is each tenant without an entry."
        ),
        .optional(
            "routes", section(RateLimitRules.limitRange, "^[A-Za-z][A-Za-z.]{0,79}$"),
            "Each caller's requests to one operation, or to all that need one permission."
        ),
        .optional(
            "tokens", section(RateLimitRules.tokensRange, tenantNames),
            "Model tokens of one tenant's tasks; * is each tenant without an entry."
        ),
        .optional(
            "closed", .nullable(.array(of: .text(), max: RateLimitRules.entriesMax)),
            "Operations and permissions that are refused with 503 while requests cannot be counted."
        ),
        .optional(
            "concurrency",
            .nullable(
                .map(
                    of: .nullable(
                        .map(
                            of: .nullable(.integer(RateLimitRules.concurrencyRange)), names: labels,
                            max: RateLimitRules.labelsMax)),
                    names: tenantNames, max: RateLimitRules.entriesMax
                )),
            "How many tasks of a tenant with that label, name=value, may be at work at once; * is each tenant without "
                + "an entry."
        ),
    ])

    private static let rateLimits = Schema.object([
        .required("version", .integer(), "For If-Match; 0 while the start-up configuration counts."),
        .optional("changed_by", .text(), "Tenant and subject."), .optional("changed_at", .time),
        .required("limits", .named("RateLimitRules")),
        .optional(
            "use",
            .array(
                of: .object([
                    .required("policy", .text()), .required("tenant", .text(), "- where nobody is known."),
                    .required("key", .text(), "Who is counted."),
                    .required("used_percent", .integer(), "Of the burst; above 100 is a debt."),
                    .required("remaining", .integer()), .required("quota", .integer()),
                    .required("window_seconds", .integer()), .required("reset_seconds", .integer()),
                ]),
                max: RateLimits.usesMax
            ),
            "Who is nearest to a limit, the nearest first, as the replica that answers saw it last."
        ),
    ])
}
