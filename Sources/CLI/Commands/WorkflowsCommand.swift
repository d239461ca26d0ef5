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
        var table = Table("STAGE", "KIND", "WHO", "TIMEOUT", "ATTEMPTS", "GUARDS")
        for json in try reader.optionalArray("stages") ?? [] {
            var stage = try JSONReader(json)
            table.add(
                .init(try stage.string("name"), .bold), .init(try stage.string("kind")),
                .init(try who(&stage)), .init("\(try stage.int("timeout_seconds")) s"),
                .init(try stage.optionalInt("max_attempts").map(String.init) ?? "-"),
                .init((try stage.optionalStrings("guards") ?? []).joined(separator: ", "))
            )
        }
        console.print(table)
    }

    /// The agents of a role; reviewers with their weights.
    private static func who(_ stage: inout JSONReader) throws -> String {
        if let role = try stage.optionalString("role") { return role }
        let seats = try stage.optionalArray("reviewers") ?? []
        guard !seats.isEmpty else { return "-" }
        let names = try seats.map { json in
            var seat = try JSONReader(json)
            return "\(try seat.string("role")) \(try seat.required("weight").text)"
        }
        return names.joined(separator: ", ") + (stage.optional("quorum").map { "; \($0.text) approve" } ?? "")
    }
}
