internal import ArgumentParser
internal import Contracts

/// `golden limits set`
struct LimitsSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Set the limits of all replicas from a file.",
        discussion: """
            The file is what `golden limits show --json` prints, edited, or only its `limits`. What it does not name has
            the built-in limit; null takes a limit out. Nothing is changed when somebody else was faster.

            EXAMPLES:
              golden limits set limits.json
              echo '{"roles":{"developer":{"limit":60}}}' | golden limits set - --if-version 3
            """
    )

    static let bytesMax = 256 * 1024

    @Argument(help: "The file; - is standard input.", completion: .file(extensions: ["json"])) var file: String
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "The version to change; the file's own when absent.") var ifVersion: Int?

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let (limits, version) = try read()
        let answer = try await APIClient.with(try connection.endpoint(role: "admin", environment)) { client in
            try await client.put("/admin/rate-limits", limits, ifMatch: "\"\(version)\"").json
        }
        if output.isJSON { return console.print(answer.text) }
        console.print(try LimitsTable.limits(answer))
    }

    private func read() throws -> (limits: JSON, version: Int) {
        let bytes = try InputFile.read(file, bytesMax: Self.bytesMax)
        let document: JSON
        var shown: JSON?
        var version: Int?
        do throws(JSONError) {
            document = try JSON(parsing: bytes)
            var reader = try JSONReader(document)
            shown = reader.optional("limits")
            version = try reader.optionalInt("version")
        } catch {
            throw CLIError(
                .usage, "\(file) holds no rate limits: \(error)", kept: "Nothing was sent.",
                next: "golden limits show --json prints such a file."
            )
        }
        guard let version = ifVersion ?? version else {
            throw CLIError(
                .usage, "\(file) does not say which version it changes.", kept: "Nothing was sent.",
                next: "Give --if-version; golden limits show names the version in force."
            )
        }
        return (shown ?? document, version)
    }
}
