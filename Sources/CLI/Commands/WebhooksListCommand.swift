internal import ArgumentParser
internal import Contracts

/// `golden webhooks list`
struct WebhooksListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the tenant's webhooks, newest first.")

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var page: ListPage

    func run() async throws {
        try await page.show(
            "/webhooks", field: "webhooks", from: try connection.endpoint(Caller.environment),
            none: "No webhooks. Next: golden webhooks add URL"
        ) { webhooks in
            var table = Table("ID", "STATE", "URL", "EVENTS", "CREATED", "DESCRIPTION")
            for json in webhooks {
                var webhook = try JSONReader(json)
                let state = try webhook.string("state")
                table.add(
                    .init(try webhook.string("id"), .bold), .init(state, state == "active" ? .green : .red),
                    .init(try webhook.optionalString("url") ?? "-"),
                    .init((try webhook.optionalStrings("events") ?? []).joined(separator: ",")),
                    .init(shortTime(try webhook.string("created_at"))),
                    .init(try webhook.optionalString("description") ?? "-")
                )
            }
            return table
        }
    }
}

/// `golden webhooks deliveries`
struct WebhooksDeliveriesCommand: AsyncParsableCommand {
    static let states = ["pending", "parked", "delivered", "failed"]

    static let configuration = CommandConfiguration(
        commandName: "deliveries", abstract: "List deliveries, newest first, and what became of them.")

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var page: ListPage
    @Option(help: "Only of this webhook.") var webhook: String?
    @Option(help: "Only of this task.") var task: String?
    @Option(help: "Only in this state: pending, parked, delivered or failed.", completion: .list(Self.states))
    var state: String?

    func validate() throws {
        if let state, !Self.states.contains(state) {
            throw ValidationError("--state must be one of \(Self.states.joined(separator: ", ")).")
        }
    }

    func run() async throws {
        let query = [("webhook", webhook), ("task", task), ("state", state)]
        try await page.show(
            "/webhooks/deliveries", query, field: "deliveries", from: try connection.endpoint(Caller.environment),
            none: "No deliveries."
        ) { deliveries in
            var table = Table("ID", "STATE", "TYPE", "TASK", "URL", "ATTEMPTS", "STATUS", "ERROR", "CREATED")
            for delivery in deliveries { table.add(row: try Self.row(delivery)) }
            return table
        }
    }

    private static func row(_ json: JSON) throws -> [Table.Cell] {
        var delivery = try JSONReader(json)
        let state = try delivery.string("state")
        let style: Console.Style? =
            switch state {
            case "delivered": .green
            case "failed": .red
            case "parked": .yellow
            default: .cyan
            }
        return [
            .init(try delivery.string("id"), .bold), .init(state, style), .init(try delivery.string("type")),
            .init(try delivery.string("task_id")), .init(try delivery.string("url")),
            .init("\(try delivery.int("attempts"))"),
            .init(try delivery.optionalInt("status").map { "\($0)" } ?? "-"),
            .init(try delivery.optionalString("error") ?? "-"), .init(shortTime(try delivery.string("created_at"))),
        ]
    }
}
