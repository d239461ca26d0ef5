internal import ArgumentParser
internal import Contracts

/// `golden dlq resolve`
struct DLQResolveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resolve", abstract: "Say that nothing is left to be done about a dead letter.",
        discussion: """
            EXAMPLES:
              golden dlq resolve 0198c5a2-… --notes "a test message"
            """
    )

    @Argument(help: "The dead letter's id.") var letter: DeadLetterArgument
    @Option(help: "Why.") var notes: String
    @OptionGroup var options: JudgeOptions

    func run() async throws {
        try await options.carryOut {
            try await $0.post("/dlq/\(letter.id)/resolve", JSONWriter.object { $0.field("notes", notes) })
        } show: {
            try DeadLetterPrinter.print($1, on: $0)
        }
    }
}
