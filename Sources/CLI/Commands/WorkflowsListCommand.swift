internal import ArgumentParser
internal import Contracts

/// `golden workflows list`
struct WorkflowsListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the workflows a task may name.",
        discussion: """
            EXAMPLES:
              golden workflows list
              golden workflows list --json | jq '.workflows[].name'
            """
    )

    @OptionGroup var connection: EndpointOptions
    @OptionGroup var page: ListPage

    func run() async throws {
        try await page.show(
            "/workflows", field: "workflows", from: try connection.endpoint(role: "operator", Caller.environment),
            none: "No workflows. Next: golden workflows set NAME FILE"
        ) { workflows in
            var table = Table("WORKFLOW", "VERSION", "STAGES", "FROM")
            for json in workflows {
                var workflow = try JSONReader(json)
                let stages = try workflow.optionalArray("stages") ?? []
                let names = try stages.map { json in
                    var stage = try JSONReader(json)
                    return try stage.string("name")
                }
                table.add(
                    .init(try workflow.string("name"), .bold), .init("\(try workflow.int("version"))"),
                    .init(names.joined(separator: " > ")),
                    .init(try workflow.optionalString("created_by") ?? "every installation")
                )
            }
            return table
        }
    }
}
