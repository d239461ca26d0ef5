internal import ArgumentParser
internal import Contracts

/// `golden keys list`
struct KeysListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the tenant's API keys, the newest first.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "How many, 1 to 200.")
    var limit = 50

    @Option(help: "Where the page before ended.")
    var cursor: String?

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let query = QueryString.text([("limit", "\(limit)"), ("cursor", cursor)])
        let answer = try await APIClient.with(try await admin.endpoint(environment)) { client in
            try await client.get("/api-keys\(query)").json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let keys = try reader.optionalArray("api_keys") ?? []
        guard !keys.isEmpty else { return console.note("No keys. Next: golden keys create LABEL --role developer") }
        var table = Table("KEY", "LABEL", "ROLE", "STATE", "CREATED", "EXPIRES", "LAST USED")
        for key in keys {
            var key = try JSONReader(key)
            let state = try key.string("state")
            table.add(
                .init(try key.string("id"), .bold), .init(try key.string("label")), .init(try key.string("role")),
                .init(state, state == "active" ? .green : .yellow),
                .init(shortTime(try key.optionalString("created_at"))),
                .init(shortTime(try key.optionalString("expires_at"))),
                .init(shortTime(try key.optionalString("last_used_at")))
            )
        }
        console.print(table)
        if let next = try reader.optionalString("next_cursor") {
            console.note("More: golden keys list --limit \(limit) --cursor \(next)")
        }
    }
}
