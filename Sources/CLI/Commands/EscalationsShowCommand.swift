internal import ArgumentParser
internal import Contracts

/// `golden escalations show`
struct EscalationsShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one escalation.",
        discussion: """
            EXAMPLES:
              golden escalations show 0198c5a2-…
            """
    )

    @Argument(help: "The escalation's id.") var escalation: EscalationArgument
    @OptionGroup var options: JudgeOptions

    func run() async throws {
        try await options.carryOut {
            try await $0.get("/escalations/\(escalation.id)")
        } show: {
            try EscalationPrinter.print($1, on: $0)
        }
    }
}
