internal import ArgumentParser
internal import Contracts

/// `golden governance propose`
struct GovernanceProposeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "propose", abstract: "Propose a new version of a role's prompt.",
        discussion: """
            Governance makes it active, queues it for a human, or blocks it, and says why and until when. The base is
            the active version you started from; when another is active by now, nothing is filed.

            EXAMPLES:
              golden governance propose developer prompt.txt --base 3 --reason "Tests were missing."
              echo "Write a failing test first." | golden governance propose tester - --base 0 --reason "first prompt"
            """
    )

    @Argument(help: "The role whose prompt it is.") var role: String
    @Argument(help: "A file with the whole prompt; - for standard input.", completion: .file()) var file: String
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "The version it was made from; 0 when the role has no prompt yet.") var base: Int
    @Option(help: "Why: what was learned.") var reason: String

    func validate() throws {
        guard AgentRole(role) != nil else { throw ValidationError("A role is 1 to 63 of A-Z a-z 0-9 _ -.") }
        guard base >= 0 else { throw ValidationError("--base must not be negative.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let body = try body()
        let answer = try await APIClient.with(try connection.endpoint(role: "operator", environment)) { client in
            try await client.post("/governance/prompts", body).json
        }
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let (id, version) = (try reader.int("id"), try reader.int("version"))
        let verdict = try reader.string("verdict")
        let style: Console.Style = verdict == PromptStatus.autoApproved.rawValue ? .green : .yellow
        console.print("Prompt \(id) (\(role) v\(version)): \(console.styled(Table.printable(verdict), style)).")
        console.print(GovernanceTable.line(try reader.string("explanation")))
        if verdict != PromptStatus.autoApproved.rawValue {
            console.note("Next, as somebody else: golden governance approve \(id)")
        }
    }

    private func body() throws(CLIError) -> JSON {
        let bytes = try InputFile.read(file, bytesMax: PromptProposal.contentBytesMax)
        guard let content = String(validating: bytes, as: UTF8.self) else {
            throw CLIError(.usage, "The prompt is not UTF-8.", kept: "Nothing was sent.")
        }
        let body = JSONWriter.object {
            $0.field("role", role)
            $0.field("content", content)
            $0.field("base_version", base)
            $0.field("reason", reason)
        }
        do throws(JSONError) {
            return try PromptProposal(json: body).json
        } catch {
            throw CLIError(.usage, "This is no proposal: \(error)", kept: "Nothing was sent.")
        }
    }
}
