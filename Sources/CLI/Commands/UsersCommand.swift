internal import ArgumentParser
internal import Contracts

/// `golden users`
struct UsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users",
        abstract: "Add, list and disable users, and give them passwords.",
        discussion: """
            A user logs in with `POST /auth/login` and gets a token for 15 minutes.

            EXAMPLES:
              golden users init                            the first admin, with a generated password
              golden users add ada --role developer
              golden users add bob --role admin --tenant acme
              golden users password ada
              golden users disable ada
            """,
        subcommands: [
            UsersListCommand.self, UsersAddCommand.self, UsersPasswordCommand.self, UsersDisableCommand.self,
            UsersEnableCommand.self, UsersInitCommand.self,
        ],
        defaultSubcommand: UsersListCommand.self
    )

    /// Shows a user, and the password when it was generated.
    static func show(_ answer: JSON, _ done: String, _ output: OutputOptions, _ console: Console) throws {
        if output.isJSON { return console.print(answer.text) }
        var user = try JSONReader(answer)
        let (name, role, tenant) = (try user.string("name"), try user.string("role"), try user.string("tenant"))
        console.print("\(Table.printable(name)) (\(role), tenant \(tenant)) \(done).")
        guard let password = try user.optionalString("password") else { return }
        console.print("Password, shown this once: \(password)")
    }
}
