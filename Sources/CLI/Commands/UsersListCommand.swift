internal import ArgumentParser
internal import Contracts

/// `golden users list`
struct UsersListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the tenant's users by name.")

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
            try await client.get("/users\(query)").json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let users = try reader.optionalArray("users") ?? []
        guard !users.isEmpty else { return console.note("No users. Next: golden users add NAME --role developer") }
        var table = Table("USER", "ROLE", "STATE", "CREATED", "LAST LOGIN")
        for user in users {
            var user = try JSONReader(user)
            let state = try user.string("state")
            table.add(
                .init(try user.string("name"), .bold), .init(try user.string("role")),
                .init(state, state == "active" ? .green : .yellow),
                .init(shortTime(try user.optionalString("created_at"))),
                .init(shortTime(try user.optionalString("last_login_at")))
            )
        }
        console.print(table)
        if let next = try reader.optionalString("next_cursor") {
            console.note("More: golden users list --limit \(limit) --cursor \(next)")
        }
    }
}
