internal import ArgumentParser
internal import Contracts

/// `golden dlq groups`
struct DLQGroupsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "groups", abstract: "Show open dead letters by cause, the largest group first.",
        discussion: """
            EXAMPLES:
              golden dlq groups
              golden dlq groups --subject 'results.>'
            """
    )

    @OptionGroup var conditions: DeadLetterConditions
    @OptionGroup var options: JudgeOptions

    func run() async throws {
        try await options.carryOut {
            try await $0.get("/dlq/groups\(QueryString.text(conditions.pairs))")
        } show: { console, answer in
            var reader = try JSONReader(answer)
            let groups = try reader.optionalArray("groups") ?? []
            guard !groups.isEmpty else { return console.note("No dead letters.") }
            var table = Table("CAUSE", "COUNT", "SUBJECT", "REASON", "LAST", "ERROR")
            var total = 0
            for json in groups {
                var group = try JSONReader(json)
                total += try group.int("count")
                table.add(
                    .init(try group.string("cause"), .bold), .init("\(try group.int("count"))", .red),
                    .init(try group.string("subject")), .init(try group.string("reason")),
                    .init(try group.string("last_at")), .init(try group.optionalString("error") ?? "-")
                )
            }
            console.print(table)
            console.note("\(total) dead letters of \(groups.count) causes.")
            console.note("Next: golden dlq list --cause CAUSE · golden dlq replay --cause CAUSE --dry-run")
        }
    }
}
