internal import ArgumentParser
internal import Contracts

/// What the commands that change a breaker have in common.
struct BreakersChange: ParsableArguments {
    @Argument(help: "The breaker's name.") var name: String
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    /// - Parameter verb: the last segment of the route.
    func carryOut(_ verb: String, reason: String?, seconds: Int?) async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let body = JSONWriter.object { writer in
            writer.field("name", name)
            writer.field(ifPresent: "reason", reason)
            writer.field(ifPresent: "expires_in_seconds", seconds)
        }
        let endpoint = try connection.endpoint(role: "operator", environment)
        let answer = try await APIClient.with(endpoint) { client in
            try await client.post("/admin/circuit-breaker/\(verb)", body).json
        }
        if output.isJSON { return console.print(answer.text) }
        let breaker = try BreakerDocument(json: answer)
        console.print("Circuit breaker \(Table.printable(breaker.name)) is \(breaker.state), \(breaker.mode).")
    }
}

/// What the commands that set a mode need besides.
struct BreakersModeOptions: ParsableArguments {
    @Option(help: "Why; kept with the breaker and in the audit log.") var reason: String

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("After which it is automatic again; else it stays so.", valueName: "seconds"))
    var seconds: Int?

    func validate() throws {
        if let seconds, seconds < 1 { throw ValidationError("--for must be 1 or more seconds.") }
    }
}
