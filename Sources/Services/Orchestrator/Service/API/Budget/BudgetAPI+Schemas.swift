internal import HTTPEdge
internal import Storage

/// The shapes that the budget routes' answers have.
extension BudgetAPI {
    static let schemas: [(name: String, schema: Schema)] = [
        ("BudgetGrant", grant), ("Reservation", reservation), ("BudgetAccount", account),
    ]

    static let requestID = Schema.text(min: 1, max: BudgetRequestID.lengthMax, pattern: "^[!-~]+$")

    private static let common: [Schema.Field] = [
        .required("request_id", requestID), .required("tenant", .name), .required("project", .name),
        .required("tokens", .integer(), "Held, or asked for."), .optional("task_id", .uuid),
        .required("accounts", .array(of: .name), "The projects of the accounts it is charged to; none: unlimited."),
        .required("created_at", .time), .required("expires_at", .time),
    ]

    private static let grant = Schema.object(common + [.required("outcome", .choice(["reserved"]))])

    private static let reservation = Schema.object(
        common + [
            .required("state", .choice(Reservation.State.allCases.map(\.rawValue))),
            .required("principal", .text(), "Who asked."),
            .optional("actual", .integer(), "Tokens used, once a commit said so."),
            .required("overage", .integer(), "The part of them that no hold covered."),
            .optional("settled_at", .time),
        ])

    private static let account = Schema.object([
        .required("tenant", .name), .required("project", .name, "`all-projects` for the tenant's own."),
        .required("total_limit", .integer()), .required("used", .integer()), .required("reserved", .integer()),
        .required("available", .integer()), .required("overage", .integer()),
        .required("blocked", .boolean, "An overage blocks it until the limit is raised."),
        .required("version", .integer(), "Counts changes of the limit, for If-Match."),
        .required("updated_at", .time),
    ])
}
