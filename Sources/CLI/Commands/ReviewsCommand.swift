internal import ArgumentParser
internal import Contracts

/// `golden reviews`
struct ReviewsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reviews", abstract: "List peer reviews and show who voted what, and why it was decided so.",
        discussion: """
            EXAMPLES:
              golden reviews list --status escalated
              golden reviews show 0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60
              golden reviews impact 0197a3c4-8f00-7c3a-9d52-1b2c3d4e5f60
            """,
        subcommands: [ReviewsListCommand.self, ReviewsShowCommand.self, ReviewsImpactCommand.self],
        defaultSubcommand: ReviewsListCommand.self
    )

    static func style(_ status: String) -> Console.Style? {
        switch status {
        case "approved", "approve": .green
        case "rejected", "reject": .red
        case "escalated", "conditional": .yellow
        default: nil
        }
    }
}
