internal import ArgumentParser
internal import Contracts

/// `golden keys list`
struct KeysListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the tenant's API keys, the newest first.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var page: ListPage

    func run() async throws {
        try await page.show(
            "/api-keys", field: "api_keys", from: try await admin.endpoint(Caller.environment),
            none: "No keys. Next: golden keys create LABEL --role developer"
        ) { keys in
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
            return table
        }
    }
}
