internal import Contracts
internal import HTTPEdge
internal import HTTPTypes

/// The routes of users and keys as data.
extension AccountAPI {
    var routes: [Route] {
        let access = Route.Access.require(.accountManage)
        return [
            Route(.get, "/users", access: access, operation: Self.listUsersOperation, handler: listUsers),
            Route(.post, "/users", access: access, operation: Self.addUserOperation, handler: addUser),
            Route(
                .post, "/users/{name}/password", access: access, operation: Self.passwordOperation, handler: setPassword
            ),
            Route(
                .post, "/users/{name}/disable", access: access, operation: Self.disableOperation, handler: disableUser
            ),
            Route(.post, "/users/{name}/enable", access: access, operation: Self.enableOperation, handler: enableUser),
            Route(.get, "/api-keys", access: access, operation: Self.listKeysOperation, handler: listKeys),
            Route(.post, "/api-keys", access: access, operation: Self.addKeyOperation, handler: addKey),
            Route(.post, "/api-keys/{id}/revoke", access: access, operation: Self.revokeOperation, handler: revokeKey),
            Route(
                .post, "/admin/signing-keys/rotate", access: access, operation: Self.rotateOperation,
                handler: rotateSigningKeys
            ),
        ]
    }

    static let schemas: [(name: String, schema: Schema)] = [("User", user), ("APIKey", key)]

    private static let roles = Schema.choice(Role.allCases.filter { $0 != .anonymous }.map(\.rawValue))
    private static let userName = Schema.text(min: 1, max: 127, pattern: "^[A-Za-z0-9][A-Za-z0-9._@+-]*$")
    private static let password = Schema.nullable(.text(min: passwordBytesMin, max: AuthAPI.passwordBytesMax))
    private static let name = Parameter(.path, "name", .text(max: 127), "The user's name.")

    private static let listUsersOperation = Operation(
        id: "listUsers", summary: "Lists the tenant's users by name.", tag: "accounts", parameters: Parameter.page,
        answers: [.page("users", of: "User")]
    )

    private static let addUserOperation = Operation(
        id: "addUser", summary: "Adds a user to the tenant; without a password one is generated and shown once.",
        tag: "accounts",
        body: Body(
            .object([
                .required("name", userName, "Upper and lower case are the same."), .required("role", roles),
                .optional("password", password),
            ]),
            example: JSONWriter.object { writer in
                writer.field("name", "ada")
                writer.field("role", "developer")
            }
        ),
        answers: [Answer(.created, "The user.", .json(.named("User")))], problems: [.conflict]
    )

    private static let passwordOperation = Operation(
        id: "setPassword", summary: "Gives a user another password, or a generated one, shown once.", tag: "accounts",
        parameters: [name], body: Body(.object([.optional("password", password)]), isRequired: false),
        answers: [Answer(.ok, "The user.", .json(.named("User")))], problems: [.notFound]
    )

    private static let disableOperation = Operation(
        id: "disableUser", summary: "Keeps a user from logging in, and ends the tokens they hold.",
        tag: "accounts", parameters: [name], answers: [Answer(.ok, "The user.", .json(.named("User")))],
        problems: [.notFound, .conflict]
    )

    private static let enableOperation = Operation(
        id: "enableUser", summary: "Lets a disabled user log in again.", tag: "accounts", parameters: [name],
        answers: [Answer(.ok, "The user.", .json(.named("User")))], problems: [.notFound]
    )

    private static let listKeysOperation = Operation(
        id: "listAPIKeys", summary: "Lists the tenant's API keys, newest first, without the keys themselves.",
        tag: "accounts", parameters: Parameter.page,
        answers: [.page("api_keys", of: "APIKey")]
    )

    private static let addKeyOperation = Operation(
        id: "addAPIKey", summary: "Makes an API key, shown once.", tag: "accounts",
        body: Body(
            .object([
                .required("label", .text(min: 1, max: labelMax), "For people."), .required("role", roles),
                .optional("expires_in_seconds", .nullable(.integer(60...lifetimeMax)), "Never when absent."),
            ]),
            example: JSONWriter.object { writer in
                writer.field("label", "deploy bot")
                writer.field("role", "developer")
            }
        ),
        answers: [Answer(.created, "The key.", .json(.named("APIKey")))]
    )

    private static let revokeOperation = Operation(
        id: "revokeAPIKey", summary: "Revokes an API key for ever, and ends the tokens made from it.",
        tag: "accounts", parameters: [Parameter(.path, "id", .text(max: APIKeyText.idBytes), "The key's id.")],
        answers: [Answer(.ok, "The key.", .json(.named("APIKey")))], problems: [.notFound]
    )

    private static let rotateOperation = Operation(
        id: "rotateSigningKeys",
        summary: "Makes a new key that signs tokens a minute from now, and retires all others.",
        tag: "accounts",
        body: Body(
            .object([
                .optional(
                    "immediately", .nullable(.boolean),
                    "It signs at once, and no token of another key counts any more: everybody logs in again.")
            ]),
            isRequired: false
        ),
        answers: [
            Answer(
                .created, "All public keys.",
                .json(.object([.required("keys", .array(of: .object([], isOpen: true)))]))
            )
        ],
        problems: [.conflict]
    )

    private static let user = Schema.object([
        .required("name", .text()), .required("tenant", .name), .required("role", roles),
        .required("state", .choice(["active", "disabled"])), .required("created_by", .text()),
        .required("created_at", .time), .required("password_changed_at", .time), .optional("disabled_at", .time),
        .optional("last_login_at", .time), .optional("password", .text(), "A generated one, this once."),
    ])

    private static let key = Schema.object([
        .required("id", .text(), "The key's first characters."), .required("tenant", .name),
        .required("label", .text()), .required("role", roles),
        .required("state", .choice(["active", "revoked", "expired"])), .required("created_by", .text()),
        .required("created_at", .time), .optional("expires_at", .time), .optional("revoked_at", .time),
        .optional("last_used_at", .time, "At most a minute behind."), .optional("key", .text(), "The key, this once."),
    ])
}
