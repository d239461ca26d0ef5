internal import ArgumentParser
internal import Contracts

/// `golden escalations list`
struct EscalationsListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List escalations, newest first.",
        discussion: """
            EXAMPLES:
              golden escalations list                       those that nobody has resolved
              golden escalations list --state waiting_for_human
              golden escalations list --state resolved
              golden escalations list --task 0198c5a2-…
            """
    )

    @OptionGroup var options: JudgeOptions

    @Option(
        help: "unresolved, open, analyzing, waiting_for_human or resolved.",
        completion: .list(EscalationsListCommand.states))
    var state = "unresolved"
    @Option(help: "Only those of this task.") var task: TaskArgument?
    @Option(help: "How many, 1 to 200.") var limit = 50
    @Option(help: "Where the page before ended.") var cursor: String?

    func validate() throws {
        guard (1...200).contains(limit) else { throw ValidationError("--limit must be from 1 to 200.") }
        guard Self.states.contains(state) else {
            throw ValidationError("--state must be one of \(Self.states.joined(separator: ", ")).")
        }
    }

    private static let states = ["unresolved", "open", "analyzing", "waiting_for_human", "resolved"]

    func run() async throws {
        let query = QueryString.text([
            ("state", state), ("task", task?.id.description), ("limit", "\(limit)"), ("cursor", cursor),
        ])
        try await options.carryOut {
            try await $0.get("/escalations\(query)")
        } show: { console, answer in
            var reader = try JSONReader(answer)
            let escalations = try reader.optionalArray("escalations") ?? []
            guard !escalations.isEmpty else { return console.note("None is \(state).") }
            var table = Table("ESCALATION", "TASK", "STATE", "SEVERITY", "FROM", "SINCE", "REASON")
            for json in escalations {
                var escalation = try JSONReader(json)
                table.add(
                    .init(try escalation.string("id"), .bold), .init(try escalation.string("task_id")),
                    .init(try escalation.string("state")),
                    EscalationPrinter.severity(try escalation.string("severity")),
                    .init(try escalation.string("source")), .init(try escalation.string("created_at")),
                    .init(try escalation.string("reason"))
                )
            }
            console.print(table)
            if let next = try reader.optionalString("next_cursor") {
                console.note("More: golden escalations list --state \(state) --limit \(limit) --cursor \(next)")
            }
        }
    }
}
