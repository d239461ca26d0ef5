internal import ArgumentParser
internal import Contracts

/// `golden users disable`
struct UsersDisableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "Keep a user from logging in; tokens they hold end within 15 minutes."
    )

    @OptionGroup var admin: AdminOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        let environment = Caller.environment
        let answer = try await APIClient.with(try await admin.endpoint(environment)) { client in
            try await client.post("/users/\(QueryString.escaped(name))/disable", .emptyObject).json
        }
        try UsersCommand.show(answer, "is disabled", output, Console(environment: environment))
    }
}
