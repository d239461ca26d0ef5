internal import ArgumentParser
internal import Contracts

/// `golden down`
struct DownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down",
        abstract: "Stop the embedded stack in good order; its data stays.",
        discussion: """
            Agents finish or hand back their work, then the orchestrators, then the stores. What does not end in time
            is killed. Works as well on what a killed supervisor left behind. Whoever starts or restores the stack
            at that moment is waited for.

            EXAMPLES:
              golden down
              golden down --delete        its tasks and everything else go as well
            """
    )

    @OptionGroup var data: FolderOptions
    @OptionGroup var output: OutputOptions

    @Flag(help: "Remove the data as well: database, streams, secrets, logs.")
    var delete = false

    @Option(help: "Seconds until what still runs is killed, and waiting for others ends.")
    var timeout = 90

    func validate() throws {
        guard (1...3600).contains(timeout) else { throw ValidationError("--timeout must be from 1 to 3600 seconds.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let folder = data.folder(environment)
        try folder.requireOwner()
        _ = try StackRecord.require(in: folder)
        let stop = StackStop(folder: folder, within: .seconds(timeout))
        let wasRunning = try await stop.stop(deletes: delete) { console.step($0) }
        console.clearStatus()
        if output.isJSON {
            let answer = JSONWriter.object { writer in
                writer.field("stopped", wasRunning)
                writer.field("deleted", delete)
            }
            return console.print(answer.text)
        }
        let what = wasRunning ? "The stack is stopped" : "Nothing was running"
        console.print(delete ? "\(what); its data is deleted." : "\(what). Its data stays in \(folder.path).")
    }
}
