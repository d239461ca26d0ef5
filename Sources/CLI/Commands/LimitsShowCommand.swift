internal import ArgumentParser
internal import Contracts

/// `golden limits show`
struct LimitsShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the limits in force, and who is nearest to one.")

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let answer = try await APIClient.with(try connection.endpoint(role: "admin", environment)) { client in
            try await client.get("/admin/rate-limits").json
        }
        if output.isJSON { return console.print(answer.text) }
        console.print(try LimitsTable.limits(answer))
        var reader = try JSONReader(answer)
        let version = try reader.int("version")
        let uses = try reader.optionalArray("use") ?? []
        if !uses.isEmpty { console.print(try LimitsTable.use(uses)) }
        let author = try reader.optionalString("changed_by").map { ", set by \($0)" } ?? ", as configured at start-up"
        console.note("Version \(version)\(author).")
    }
}
