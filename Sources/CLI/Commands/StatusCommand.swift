internal import ArgumentParser
internal import Contracts

/// `golden status`
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show each process of the stack: pid, address, health, log.",
        discussion: """
            Ends with 0 when everything is ready and 1 otherwise.

            EXAMPLES:
              golden status
              golden status --json | jq -r .api
              golden status --json --secrets | jq -r .stores.postgres      a URL for psql
            """
    )

    @OptionGroup var data: FolderOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "With --json: put the passwords into the stores' connection strings.")
    var secrets = false

    func validate() throws {
        if secrets, !output.isJSON { throw ValidationError("--secrets goes with --json.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let folder = data.folder(environment)
        let status = await StackStatus.look(at: try StackRecord.require(in: folder), folder: folder)
        if output.isJSON {
            console.print(status.json(secrets: secrets ? try StackSecrets.load(from: folder) : nil).text)
        } else {
            show(status, console)
        }
        if !status.isHealthy { throw ExitStatus.other }
    }

    private func show(_ status: StackStatus, _ console: Console) {
        let word = status.word
        let style: Console.Style = status.isHealthy ? .green : word == "stopped" ? .dim : .yellow
        console.print("Stack \(console.styled(word, style)) in \(status.folder.path)")
        for line in status.record.note.split(separator: "\n") { console.print("  \(Table.printable(String(line)))") }
        guard !status.processes.isEmpty else {
            return console.note("Next: golden up --detach\(status.folder.option)")
        }
        console.print("API   \(status.record.apiURL)")
        var table = Table("PROCESS", "HEALTH", "VERSION", "PID", "ADDRESS", "UP", "RESTARTS", "LOG")
        for process in status.processes {
            table.add(
                .init(process.record.name, .bold), .init(process.health.rawValue, process.health.style),
                .init(process.version ?? "-"),
                .init(process.record.identity.map { "\($0.pid)" } ?? "-"), .init(process.record.address ?? "-"),
                .init(process.uptimeSeconds.map { Spans.text(seconds: $0) } ?? "-"),
                .init("\(process.record.restarts)"),
                .init(process.record.log)
            )
        }
        console.print(table)
        for process in status.processes {
            if let exit = process.record.lastExit { console.print("  \(process.record.name) last ended with \(exit)") }
            for reason in process.reasons { console.print("  \(process.record.name): \(Table.printable(reason))") }
        }
    }
}
