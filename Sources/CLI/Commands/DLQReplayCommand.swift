internal import ArgumentParser
internal import Contracts

/// `golden dlq replay`
struct DLQReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Send dead letters again: one, or all that meet conditions.",
        discussion: """
            Nothing runs twice by it: a message about an attempt that is over changes nothing, and work of a task that
            has ended is skipped; with its id alone, it becomes a new task, with the payload's input if one is given.

            EXAMPLES:
              golden dlq replay 0198c5a2-…
              golden dlq replay 0198c5a2-… --payload fixed.json --note "the role was misspelt"
              golden dlq replay --cause 3f0c2a91b4de --dry-run
              golden dlq replay --subject 'results.>' --rate 200
              golden dlq replay --everything
            """
    )

    static let messageBytesMax = 2 << 20

    @Argument(help: "The dead letter's id; without it, all that meet the conditions.") var letter: DeadLetterArgument?
    @OptionGroup var conditions: DeadLetterConditions
    @Flag(help: "All open dead letters.") var everything = false
    @Flag(name: .customLong("dry-run"), help: "Say how many there are, and show some; send nothing.")
    var isDryRun = false
    @Option(help: "Letters a second, 1 to 100000.") var rate = 1000
    @Option(help: "With an id: a file with the message to send instead, or - for standard input.") var payload: String?
    @Option(help: "For the record.") var note: String?
    @Flag(name: .customLong("detach"), help: "Do not wait for its end.") var isDetached = false
    @OptionGroup var connection: EndpointOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if letter == nil {
            guard everything != !conditions.isEmpty else {
                throw ValidationError("Give a dead letter's id, conditions, or --everything.")
            }
            guard payload == nil else { throw ValidationError("--payload goes with one dead letter's id.") }
        } else {
            guard !everything, conditions.isEmpty, !isDryRun else {
                throw ValidationError("With a dead letter's id there are no conditions and no --dry-run.")
            }
        }
        guard (1...100_000).contains(rate) else { throw ValidationError("--rate must be from 1 to 100000.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let endpoint = try connection.endpoint(role: "operator", environment)
        let (path, body) = try request()
        try await APIClient.with(endpoint) { client in
            var answer = try await client.post(path, body).json
            var reader = try JSONReader(answer)
            if isDryRun { return try show(dryRun: answer, on: console) }
            // Work of a task that has ended came back as a new task.
            guard let state = try reader.optionalString("state"), ReplayState(rawValue: state) != nil else {
                return try show(newTask: answer, on: console)
            }
            if !isDetached, state == ReplayState.running.rawValue {
                let id = try reader.string("id")
                console.note("It goes on if you leave: golden dlq stop \(id)")
                answer = try await ReplayProgress(console: console, client: client).follow(answer)
            }
            try ReplayPrinter.show(answer, isJSON: output.isJSON, on: console)
        }
    }

    private func request() throws -> (path: String, body: JSON) {
        if let letter {
            let message = try payload.map(Self.message)
            let body = JSONWriter.object {
                $0.field(ifPresent: "payload", message)
                $0.field(ifPresent: "note", note)
            }
            return ("/dlq/\(letter.id)/replay", body)
        }
        let body = JSONWriter.object { writer in
            for (name, value) in conditions.pairs { writer.field(ifPresent: name, value) }
            if everything { writer.field("everything", true) }
            if isDryRun { writer.field("dry_run", true) }
            writer.field("rate", rate)
            writer.field(ifPresent: "note", note)
        }
        return ("/dlq/replay", body)
    }

    private static func message(_ path: String) throws -> JSON {
        let bytes = try InputFile.read(path, bytesMax: messageBytesMax)
        do {
            return try JSON(parsing: bytes)
        } catch {
            throw CLIError(.usage, "\(path) is no JSON: \(error)", kept: "Nothing was sent.")
        }
    }

    private func show(dryRun answer: JSON, on console: Console) throws {
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let total = try reader.int("total")
        console.print("\(total) dead letters would be sent again.")
        var table = Table("DEAD LETTER", "SUBJECT", "REASON", "FILED")
        for json in try reader.optionalArray("sample") ?? [] {
            var letter = try JSONReader(json)
            table.add(
                .init(try letter.string("id"), .bold), .init(try letter.string("original_subject")),
                .init(try letter.string("reason")), .init(try letter.string("created_at"))
            )
        }
        if total > 0 { console.print(table) }
    }

    private func show(newTask answer: JSON, on console: Console) throws {
        if output.isJSON { return console.print(answer.text) }
        var reader = try JSONReader(answer)
        let task = try reader.string("id")
        console.print("Its task had ended, so the work was submitted anew as task \(Table.printable(task)).")
        console.note("Next: golden tasks follow \(task)")
    }
}

/// Waits for the end of a replay, with a bar on a terminal.
struct ReplayProgress: Sendable {
    static let pollInterval: Duration = .milliseconds(250)
    static let barWidth = 30

    let console: Console
    let client: APIClient

    /// Answers the replay as it stands when it is no longer running.
    func follow(_ replay: JSON) async throws -> JSON {
        var latest = replay
        while true {
            var reader = try JSONReader(latest)
            guard try reader.string("state") == ReplayState.running.rawValue else { break }
            let (done, total) = (try reader.int("replayed") + reader.int("skipped"), try reader.int("total"))
            console.showStatus(Self.bar(done, of: total))
            try await Task.sleep(for: Self.pollInterval)
            latest = try await client.get("/dlq/replays/\(try reader.string("id"))").json
        }
        console.clearStatus()
        return latest
    }

    static func bar(_ done: Int, of total: Int) -> String {
        let share = total > 0 ? min(1, Double(done) / Double(total)) : 1
        let filled = Int(share * Double(barWidth))
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: barWidth - filled)
        return "replaying \(bar) \(done) of \(total)"
    }
}

/// Prints how a replay stands.
enum ReplayPrinter {
    static func show(_ replay: JSON, isJSON: Bool, on console: Console) throws {
        if isJSON { return console.print(replay.text) }
        var reader = try JSONReader(replay)
        let state = try reader.string("state")
        let (sent, skipped, total) = (try reader.int("replayed"), try reader.int("skipped"), try reader.int("total"))
        console.print(
            "Replay \(Table.printable(try reader.string("id"))) is \(state): \(sent) of \(total) sent again, "
                + "\(skipped) skipped.")
        if skipped > 0 { console.note("golden dlq list --state all shows them; each one's history says why.") }
        if state == ReplayState.stopped.rawValue {
            console.note("Next: golden dlq resume \(try reader.string("id"))")
        }
    }
}
