internal import ArgumentParser

/// `golden logs`
struct LogsCommand: AsyncParsableCommand {
    static let pollEvery: Duration = .milliseconds(200)

    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Show what the stack's processes wrote last; with --follow live.",
        discussion: """
            Without a name those of all that runs, or, when nothing runs, of all that ran. The names are those of
            golden status; stack is the supervisor itself. Lines of several logs stand in the order of their times,
            behind their names. A log of more than \(LogFiles.bytesMax >> 20) MiB begins anew; what it held before lies
            beside it, in NAME.log.1.
            Ends with 0, by Ctrl-C as well, and with 2 for a name that there is not.

            EXAMPLES:
              golden logs
              golden logs orchestrator-1 --lines 500 | jq -R 'fromjson? | select(.level == "error")'
              golden logs agent-developer-1 postgres --follow
            """
    )

    @Argument(
        help: ArgumentHelp("A process of the stack; repeatable.", valueName: "name"),
        completion: .custom(Self.candidates))
    var names: [String] = []

    @OptionGroup var data: FolderOptions

    @Option(help: "How many lines of each log that it holds already.")
    var lines = 50

    @Flag(name: .shortAndLong, help: "Show what is written from now on as well, until Ctrl-C.")
    var follow = false

    func validate() throws {
        guard lines >= 0 else { throw ValidationError("--lines must not be negative.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let folder = data.folder(environment)
        let logs = try StackLogs(of: try StackRecord.require(in: folder), in: folder).chosen(names)
        if logs.isEmpty { return console.note("There are no logs in \(folder.logs).") }
        let width = logs.count > 1 ? logs.map(\.count).max() ?? 0 : 0
        await StopSignals.with { stop in
            var written = LogLines(logs, in: folder, lines: lines, isFollowed: follow)
            while !stop.isOpen, !Results.lost.isOpen {
                if let line = written.next() {
                    console.print(Self.shown(line, width, console))
                } else if follow {
                    await stop.wait(atMost: Self.pollEvery)
                } else {
                    return
                }
            }
        }
    }

    /// Tabs stay: Postgres continues a line with them.
    private static func shown(_ line: LogLines.Line, _ width: Int, _ console: Console) -> String {
        let text = line.text.split(separator: "\t", omittingEmptySubsequences: false)
            .map { Table.printable(String($0)) }.joined(separator: "\t")
        guard width > 0 else { return text }
        let name = line.name + String(repeating: " ", count: max(0, width - line.name.count))
        return "\(console.styled(name, .dim)) | \(text)"
    }

    /// What a shell completes a name from: the logs of the stack that the line is about.
    @Sendable static func candidates(_ words: [String], _ index: Int, _ prefix: String) -> [String] {
        var path: String?
        for (word, next) in zip(words, words.dropFirst() + [""]) {
            if word == "--data" { path = next }
            if word.hasPrefix("--data=") { path = String(word.dropFirst("--data=".count)) }
        }
        let folder = FolderOptions.folder(path, Caller.environment)
        do {
            guard let record = try StackRecord.load(from: folder) else { return [] }
            return StackLogs(of: record, in: folder).all
        } catch {
            return []
        }
    }
}
