internal import ArgumentParser
internal import Contracts

/// `golden webhooks list`
struct WebhooksListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the tenant's webhooks, newest first.")

    @OptionGroup var page: WebhookPage

    func run() async throws {
        try await page.show("/webhooks", [], "webhooks", command: "list") { webhooks in
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

    @OptionGroup var page: WebhookPage
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
        try await page.show("/webhooks/deliveries", query, "deliveries", command: "deliveries") { deliveries in
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

/// One page of a list, as a table or as JSON.
struct WebhookPage: ParsableArguments {
    @OptionGroup var options: WebhookOptions
    @Option(help: "How many, 1 to 200.") var limit = 50
    @Option(help: "Where the page before ended.") var cursor: String?

    func validate() throws {
        guard (1...200).contains(limit) else { throw ValidationError("--limit must be from 1 to 200.") }
    }

    func show(
        _ path: String, _ query: [(String, String?)], _ field: String, command: String,
        table: ([JSON]) throws -> Table
    ) async throws {
        let text = QueryString.text(query + [("limit", "\(limit)"), ("cursor", cursor)])
        try await options.carryOut {
            try await $0.get(path + text)
        } show: { console, answer in
            let found = try answer.optionalArray(field) ?? []
            guard !found.isEmpty else { return console.note("No \(field).") }
            console.print(try table(found))
            if let next = try answer.optionalString("next_cursor") {
                console.note("More: golden webhooks \(command) --limit \(limit) --cursor \(next)")
            }
        }
    }
}
