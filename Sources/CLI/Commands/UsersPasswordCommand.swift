internal import ArgumentParser
internal import Contracts

/// `golden users password`
struct UsersPasswordCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "password", abstract: "Give a user another password.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var secret: PasswordOptions

    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
        let environment = Caller.environment
        let password = try secret.password()
        let body = JSONWriter.object { $0.field(ifPresent: "password", password) }
        let answer = try await APIClient.with(try await admin.endpoint(environment)) { client in
            try await client.post("/users/\(QueryString.escaped(name))/password", body).json
        }
        try UsersCommand.show(answer, "has another password", output, Console(environment: environment))
    }
}
