internal import ArgumentParser
internal import Contracts

/// `golden users list`
struct UsersListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the tenant's users by name.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var page: ListPage

    func run() async throws {
        try await page.show(
            "/users", field: "users", from: try await admin.endpoint(Caller.environment),
            none: "No users. Next: golden users add NAME --role developer"
        ) { users in
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
            return table
        }
    }
}
