internal import ArgumentParser
internal import Contracts

/// `golden dlq`
struct DLQCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dlq",
        abstract: "See what no consumer could process, and have it processed after all.",
        discussion: """
            EXAMPLES:
              golden dlq groups                                   alike ones as one line
              golden dlq list --cause 3f0c2a91b4de
              golden dlq show 0198c5a2-…
              golden dlq replay --cause 3f0c2a91b4de --dry-run    what would be sent again
              golden dlq replay --cause 3f0c2a91b4de --rate 200
              golden dlq resolve 0198c5a2-… --notes "a test message"
            """,
        subcommands: [
            DLQGroupsCommand.self, DLQListCommand.self, DLQShowCommand.self, DLQReplayCommand.self,
            DLQResolveCommand.self, DLQReplaysCommand.self, DLQStopCommand.self, DLQResumeCommand.self,
        ],
        defaultSubcommand: DLQGroupsCommand.self
    )
}

/// A dead letter's id on the command line.
struct DeadLetterArgument: ExpressibleByArgument, Sendable {
    let id: DeadLetterID

    init?(argument: String) {
        guard let id = DeadLetterID(argument) else { return nil }
        self.id = id
    }
}

/// A replay's id on the command line.
struct ReplayArgument: ExpressibleByArgument, Sendable {
    let id: ReplayID

    init?(argument: String) {
        guard let id = ReplayID(argument) else { return nil }
        self.id = id
    }
}

/// Which dead letters are meant.
struct DeadLetterConditions: ParsableArguments {
    @Option(help: "The subject they were meant for, or its beginning and '>'.") var subject: String?
    @Option(help: "Why they were given up, as a word.") var reason: String?
    @Option(help: "One group's, as 'golden dlq groups' names it.") var cause: String?
    @Option(help: "One task's.") var task: TaskArgument?
    @Option(help: "Filed before this time, such as 2026-01-31T12:00:00Z.") var before: String?
    @Option(help: "Filed at this time or later.") var since: String?

    func validate() throws {
        for (name, text) in [("--before", before), ("--since", since)] {
            if let text, Timestamp.date(text) == nil {
                throw ValidationError("\(name) must be a time such as 2026-01-31T12:00:00Z.")
            }
        }
    }

    var pairs: [(String, String?)] {
        [
            ("subject", subject), ("reason", reason), ("cause", cause), ("task", task?.id.description),
            ("before", before), ("since", since),
        ]
    }

    var isEmpty: Bool { pairs.allSatisfy { $0.1 == nil } }
}
