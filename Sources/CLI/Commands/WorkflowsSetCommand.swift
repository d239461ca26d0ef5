internal import ArgumentParser
internal import Contracts

/// `golden workflows set`
struct WorkflowsSetCommand: AsyncParsableCommand {
    static let bytesMax = 64 * 1024

    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Store the next version of a workflow from a file.",
        discussion: """
            The file says what the stages are; only name and kind must be given, and the role of work:
              {"stages": [{"name": "work", "kind": "work", "role": "developer", "guards": ["has_tests"]},
                          {"name": "review", "kind": "review", "quorum": 0.75,
                           "reviewers": [{"role": "security", "weight": 0.6}, {"role": "tester", "weight": 0.4}]},
                          {"name": "sign-off", "kind": "approve", "timeout_seconds": 86400}],
               "escalate_on_failure": true}
            Tasks that run keep the version they have.

            EXAMPLES:
              golden workflows set signed signed.json
              golden workflows set signed signed.json --if-version 3
            """
    )

    @Argument(help: "The workflow's name.") var name: String
    @Argument(help: "The file; - is standard input.", completion: .file(extensions: ["json"])) var file: String
    @OptionGroup var options: JudgeOptions

    @Option(help: "Only when the newest version is this one; 0: only when there is none yet.") var ifVersion: Int?

    func validate() throws {
        guard WorkflowName(name) != nil else { throw ValidationError("A workflow is 1 to 63 of A-Z a-z 0-9 _ -.") }
        if let ifVersion, ifVersion < 0 { throw ValidationError("--if-version must not be negative.") }
    }

    func run() async throws {
        let bytes = try InputFile.read(file, bytesMax: Self.bytesMax)
        let definition: JSON
        do {
            definition = try JSON(parsing: bytes)
        } catch {
            throw CLIError(
                .usage, "\(file) holds no JSON: \(error)", kept: "Nothing was sent.",
                next: "golden workflows set --help shows an example."
            )
        }
        let version = ifVersion.map { "\"\($0)\"" }
        try await options.carryOut {
            try await $0.put("/workflows/\(name)", definition, ifMatch: version)
        } show: {
            try WorkflowTable.print($1, on: $0)
        }
    }
}
