internal import Contracts
internal import HTTPEdge
internal import HTTPTypes
internal import Storage

/// The routes of webhooks as data: who may call them, what they take and answer.
extension WebhookAPI {
    var routes: [Route] {
        let (read, manage) = (Route.Access.require(.webhookRead), Route.Access.require(.webhookManage))
        return [
            Route(.get, "/webhooks", access: read, operation: Self.listOperation, handler: list),
            Route(.post, "/webhooks", access: manage, operation: Self.addOperation, handler: add),
            Route(.get, "/webhooks/{id}", access: read, operation: Self.showOperation, handler: show),
            Route(.delete, "/webhooks/{id}", access: manage, operation: Self.removeOperation, handler: remove),
            Route(.post, "/webhooks/{id}/enable", access: manage, operation: Self.enableOperation, handler: enable),
            Route(
                .post, "/webhooks/{id}/rotate-secret", access: manage, operation: Self.rotateOperation, handler: rotate
            ),
            Route(
                .get, "/webhooks/deliveries", access: read, operation: Self.listDeliveriesOperation,
                handler: listDeliveries
            ),
            Route(
                .get, "/webhooks/deliveries/{id}", access: read, operation: Self.showDeliveryOperation,
                handler: showDelivery
            ),
            Route(
                .post, "/webhooks/deliveries/{id}/replay", access: manage, operation: Self.replayOperation,
                handler: replay
            ),
        ]
    }

    static let schemas: [(name: String, schema: Schema)] = [("Webhook", webhook), ("WebhookDelivery", delivery)]

    private static let events = Schema.array(
        of: .choice(TaskEvent.Kind.allCases.map(\.rawValue)), max: TaskEvent.Kind.allCases.count
    )
    private static let url = Schema.text(min: 1, max: WebhookURL.bytesMax, format: "uri")

    private static let webhook = Schema.object([
        .required("id", .text(), "`callback` is the secret for tasks' callbacks."),
        .optional("url", url), .optional("events", events), .optional("description", .text()),
        .required("state", .choice(["active", "disabled"])), .optional("disabled_reason", .text()),
        .optional("disabled_at", .time), .required("created_by", .text()), .required("created_at", .time),
        .required("secret_changed_at", .time),
        .optional("previous_secret_until", .time, "Until then each delivery is signed with the one before, too."),
        .optional("secret", .text(), "Shown when it is made and never again."),
    ])

    private static let delivery = Schema.object([
        .required("id", .uuid, "The webhook-id of every attempt."),
        .required("webhook_id", .text(), "`callback`: the task's own."), .required("task_id", .uuid),
        .required("seq", .integer(), "Of the event."), .required("type", .text(), "Of the event."),
        .required("url", url), .required("state", .choice(WebhookDelivery.State.allCases.map(\.rawValue))),
        .required("attempts", .integer()), .required("under_way", .boolean),
        .optional("next_attempt_at", .time), .optional("status", .integer(), "The receiver's last."),
        .optional("error", .text(), "Why the last attempt failed."),
        .optional("response", .text(), "The beginning of the receiver's last answer."),
        .optional("duration_ms", .integer()), .optional("attempted_at", .time), .required("created_at", .time),
        .optional("ended_at", .time),
    ])

    private static let id = Parameter(.path, "id", .text(max: 36), "The webhook's id, or `callback`.")
    private static let deliveryID = Parameter(.path, "id", .uuid, "The delivery's id.")

    private static let listOperation = Operation(
        id: "listWebhooks", summary: "Lists the tenant's webhooks, newest first.", tag: "webhooks",
        parameters: Parameter.page, answers: [.page("webhooks", of: "Webhook")]
    )

    private static let addOperation = Operation(
        id: "addWebhook", summary: "Subscribes an address to events; its secret is shown once.", tag: "webhooks",
        body: Body(
            .object([
                .required("url", url, "https or http; port 80, 443 or one from 1024 on."),
                .optional("events", .nullable(events), "The four ends of a task when absent."),
                .optional("description", .nullable(.text(min: 1, max: Webhook.descriptionMax))),
            ]),
            example: JSONWriter.object { writer in
                writer.field("url", "https://example.com/golden")
                writer.field("events", ["task.completed", "task.failed"])
            }
        ),
        answers: [
            Answer(.created, "The webhook.", .json(.named("Webhook")), headers: [("Location", .text())])
        ],
        problems: [.conflict]
    )

    private static let showOperation = Operation(
        id: "getWebhook", summary: "Shows a webhook.", tag: "webhooks", parameters: [id],
        answers: [Answer(.ok, "The webhook.", .json(.named("Webhook")))], problems: [.notFound]
    )

    private static let removeOperation = Operation(
        id: "removeWebhook", summary: "Removes a webhook; what waits to be sent to it fails.", tag: "webhooks",
        parameters: [id],
        answers: [
            Answer(
                .ok, "It is gone.", .json(.object([.required("id", .uuid), .required("removed", .boolean)])))
        ],
        problems: [.notFound]
    )

    private static let enableOperation = Operation(
        id: "enableWebhook", summary: "Sends again to a webhook that was disabled.", tag: "webhooks",
        parameters: [id], answers: [Answer(.ok, "The webhook.", .json(.named("Webhook")))], problems: [.notFound]
    )

    private static let rotateOperation = Operation(
        id: "rotateWebhookSecret",
        summary: "Gives a webhook another secret, shown once; the one before signs along for a day.", tag: "webhooks",
        parameters: [id], answers: [Answer(.ok, "The webhook.", .json(.named("Webhook")))], problems: [.notFound]
    )

    private static let listDeliveriesOperation = Operation(
        id: "listWebhookDeliveries", summary: "Lists deliveries, newest first.", tag: "webhooks",
        parameters: [
            Parameter(.query, "webhook", .uuid, "Only of this webhook."),
            Parameter(.query, "task", .uuid, "Only of this task."),
            Parameter(
                .query, "state", .choice(WebhookDelivery.State.allCases.map(\.rawValue)), "Only in this state."),
        ] + Parameter.page,
        answers: [.page("deliveries", of: "WebhookDelivery")]
    )

    private static let showDeliveryOperation = Operation(
        id: "getWebhookDelivery", summary: "Shows a delivery.", tag: "webhooks", parameters: [deliveryID],
        answers: [Answer(.ok, "The delivery.", .json(.named("WebhookDelivery")))], problems: [.notFound]
    )

    private static let replayOperation = Operation(
        id: "replayWebhookDelivery", summary: "Starts an ended delivery over, under the same id.", tag: "webhooks",
        parameters: [deliveryID],
        answers: [Answer(.accepted, "The delivery.", .json(.named("WebhookDelivery")))],
        problems: [.notFound, .conflict]
    )
}
