internal import ArgumentParser
internal import Contracts

/// `golden workflows`
struct WorkflowsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workflows",
        abstract: "List, show and set the workflows that tasks go through.",
        discussion: """
            EXAMPLES:
              golden workflows list
              golden workflows set signed signed.json
              golden workflows show signed
            """,
        subcommands: [WorkflowsListCommand.self, WorkflowsShowCommand.self, WorkflowsSetCommand.self],
        defaultSubcommand: WorkflowsListCommand.self
    )
}

/// Rows of stages.
enum WorkflowTable {
    static func print(_ workflow: JSON, on console: Console) throws {
        var reader = try JSONReader(workflow)
        let name = Table.printable(try reader.string("name"))
        let escalates = try reader.optionalBool("escalate_on_failure") ?? false
        console.print(
            "\(console.styled(name, .bold)) version \(try reader.int("version"))"
                + (escalates ? ", escalates what fails for good" : ""))
        var table = Table("STAGE", "KIND", "ROLE", "TIMEOUT", "ATTEMPTS", "GUARDS")
        for json in try reader.optionalArray("stages") ?? [] {
            var stage = try JSONReader(json)
            table.add(
                .init(try stage.string("name"), .bold), .init(try stage.string("kind")),
                .init(try stage.optionalString("role") ?? "-"), .init("\(try stage.int("timeout_seconds")) s"),
                .init(try stage.optionalInt("max_attempts").map(String.init) ?? "-"),
                .init((try stage.optionalStrings("guards") ?? []).joined(separator: ", "))
            )
        }
        console.print(table)
    }
}
