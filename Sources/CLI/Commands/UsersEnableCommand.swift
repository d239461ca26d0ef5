internal import ArgumentParser
internal import Contracts

/// `golden users enable`
struct UsersEnableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Let a disabled user log in again.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        let environment = Caller.environment
        let answer = try await APIClient.with(try await admin.endpoint(environment)) { client in
            try await client.post("/users/\(QueryString.escaped(name))/enable", .emptyObject).json
        }
        try UsersCommand.show(answer, "may log in again", output, Console(environment: environment))
    }
}
