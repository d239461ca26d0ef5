internal import ArgumentParser
internal import Contracts

/// What the commands have in common that ask for, or say, what becomes of work.
struct JudgeOptions: ParsableArguments {
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    /// Prints the answer as JSON, or what `show` makes of it.
    func carryOut(
        _ call: (APIClient) async throws -> APIClient.Answer, show: (Console, JSON) throws -> Void
    ) async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let endpoint = try connection.endpoint(role: "operator", environment)
        let answer = try await APIClient.with(endpoint) { try await call($0).json }
        if output.isJSON { return console.print(answer.text) }
        try show(console, answer)
    }
}
