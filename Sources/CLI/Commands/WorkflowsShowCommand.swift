internal import ArgumentParser
internal import Contracts

/// `golden workflows show`
struct WorkflowsShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the stages of a workflow.",
        discussion: """
            EXAMPLES:
              golden workflows show signed
              golden workflows show signed --at-version 2 --json
            """
    )

    @Argument(help: "The workflow's name.") var name: String
    @OptionGroup var options: JudgeOptions

    @Option(help: "An older version.") var atVersion: Int?

    func run() async throws {
        let query = QueryString.text([("version", atVersion.map(String.init))])
        try await options.carryOut {
            try await $0.get("/workflows/\(QueryString.escaped(name))\(query)")
        } show: {
            try WorkflowTable.print($1, on: $0)
        }
    }
}
