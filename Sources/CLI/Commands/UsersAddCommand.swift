internal import ArgumentParser
internal import Contracts

/// `golden users add`
struct UsersAddCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "add", abstract: "Add a user to the tenant.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var secret: PasswordOptions

    @Argument(help: "The user's name, such as ada or ada@example.org.")
    var name: String

    @Option(help: "admin, operator, developer, observer or agent.", completion: .list(TokenCommand.roles))
    var role: String

    func run() async throws {
        let environment = Caller.environment
        let password = try secret.password()
        let body = JSONWriter.object { writer in
            writer.field("name", name)
            writer.field("role", role)
            writer.field(ifPresent: "password", password)
        }
        let answer = try await APIClient.with(try await admin.endpoint(environment)) { client in
            try await client.post("/users", body).json
        }
        try UsersCommand.show(answer, "was added", output, Console(environment: environment))
    }
}
