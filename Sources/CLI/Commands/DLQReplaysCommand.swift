internal import ArgumentParser
internal import Contracts

/// `golden dlq replays`
struct DLQReplaysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replays", abstract: "List replays, newest first.",
        discussion: """
            EXAMPLES:
              golden dlq replays
            """
    )

    @OptionGroup var options: JudgeOptions

    func run() async throws {
        try await options.carryOut {
            try await $0.get("/dlq/replays")
        } show: { console, answer in
            var reader = try JSONReader(answer)
            let replays = try reader.optionalArray("replays") ?? []
            guard !replays.isEmpty else { return console.note("No replays.") }
            var table = Table("REPLAY", "STATE", "SENT", "SKIPPED", "TOTAL", "BY", "BEGUN", "NOTE")
            for json in replays {
                var replay = try JSONReader(json)
                table.add(
                    .init(try replay.string("id"), .bold), .init(try replay.string("state")),
                    .init("\(try replay.int("replayed"))"), .init("\(try replay.int("skipped"))"),
                    .init("\(try replay.int("total"))"), .init(try replay.string("requested_by")),
                    .init(try replay.string("created_at")), .init(try replay.optionalString("note") ?? "-")
                )
            }
            console.print(table)
        }
    }
}

/// `golden dlq stop`
struct DLQStopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stop a replay; what was sent stays sent.",
        discussion: """
            EXAMPLES:
              golden dlq stop 0198c5a2-…
            """
    )

    @Argument(help: "The replay's id.") var replay: ReplayArgument
    @OptionGroup var options: JudgeOptions

    func run() async throws {
        try await options.carryOut {
            try await $0.post("/dlq/replays/\(replay.id)/stop", .emptyObject)
        } show: {
            try ReplayPrinter.show($1, isJSON: false, on: $0)
        }
    }
}

/// `golden dlq resume`
struct DLQResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let a stopped replay go on where it was.",
        discussion: """
            EXAMPLES:
              golden dlq resume 0198c5a2-…
            """
    )

    @Argument(help: "The replay's id.") var replay: ReplayArgument
    @OptionGroup var options: JudgeOptions

    func run() async throws {
        try await options.carryOut {
            try await $0.post("/dlq/replays/\(replay.id)/resume", .emptyObject)
        } show: {
            try ReplayPrinter.show($1, isJSON: false, on: $0)
        }
    }
}
