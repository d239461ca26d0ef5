internal import ArgumentParser
internal import Contracts

/// `golden keys create`
struct KeysCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "create", abstract: "Make an API key, shown once.")

    @OptionGroup var admin: AdminOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "What the key is for.")
    var label: String

    @Option(help: "admin, operator, developer, observer or agent.", completion: .list(TokenCommand.roles))
    var role: String

    @Option(help: "When it ends: 8h, 90d. Never when left out.")
    var expires: String?

    func validate() throws {
        if let expires, Spans.seconds(expires) == nil {
            throw ValidationError("--expires must be such as 90s, 15m, 8h or 7d, and at most ten years.")
        }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let body = JSONWriter.object { writer in
            writer.field("label", label)
            writer.field("role", role)
            writer.field(ifPresent: "expires_in_seconds", expires.flatMap { Spans.seconds($0) })
        }
        let answer = try await APIClient.with(try await admin.endpoint(environment)) { client in
            try await client.post("/api-keys", body).json
        }
        if output.isJSON { return console.print(answer.text) }
        var key = try JSONReader(answer)
        console.note("The key \(try key.string("id")), shown this once:")
        console.print(try key.string("key"))
    }
}
