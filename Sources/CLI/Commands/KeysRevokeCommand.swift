internal import ArgumentParser
internal import Contracts

/// `golden keys revoke`
struct KeysRevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revoke an API key for ever; tokens made from it end within 15 minutes."
    )

    @OptionGroup var admin: AdminOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The key's id, gk_ and 8 letters; the whole key is not needed.")
    var id: String

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try await admin.endpoint(environment)) { client in
            try await client.post("/api-keys/\(QueryString.escaped(id))/revoke", .emptyObject).json
        }
        if output.isJSON { return console.print(answer.text) }
        console.print("\(Table.printable(id)) is revoked.")
    }
}
