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

    @OptionGroup var options: JudgeOptions

    @Option(help: "How many, 1 to 200.") var limit = 50
    @Option(help: "Where the page before ended.") var cursor: String?

    func validate() throws {
        guard (1...200).contains(limit) else { throw ValidationError("--limit must be from 1 to 200.") }
    }

    func run() async throws {
        let query = QueryString.text([("limit", "\(limit)"), ("cursor", cursor)])
        try await options.carryOut {
            try await $0.get("/workflows\(query)")
        } show: { console, answer in
            var reader = try JSONReader(answer)
            var table = Table("WORKFLOW", "VERSION", "STAGES", "FROM")
            for json in try reader.optionalArray("workflows") ?? [] {
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
            console.print(table)
            if let next = try reader.optionalString("next_cursor") {
                console.note("More: golden workflows list --limit \(limit) --cursor \(next)")
            }
        }
    }
}
