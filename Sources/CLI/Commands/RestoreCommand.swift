internal import ArgumentParser
internal import Contracts

/// `golden restore`
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make a stack of a backup; golden up then starts it.",
        discussion: """
            Tasks that were accepted after the backup are not in it. Those that were under way are handed out again:
            JetStream and Redis begin empty, and what they held is derived from the database. With --replace the stack
            that is there goes once the whole backup has been read; until then there has to be room for both.

            EXAMPLES:
              golden restore backups/monday
              golden down && golden restore backups/monday --replace && golden up --detach
            """
    )

    @OptionGroup var data: FolderOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The folder that golden backup wrote.") var backup: String

    @Flag(help: "Let a stopped stack in the data folder go, with all its data.")
    var replace = false

    @Option(help: "The API's port for the next golden up; 0 takes any free one.")
    var port: Int?

    func validate() throws {
        if let port, !(0...65_000).contains(port) { throw ValidationError("--port must be from 0 to 65000.") }
    }

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let folder = data.folder(environment)
        let restore = StackRestore(
            backup: StackBackup(backup), folder: folder, environment: environment, port: port, replaces: replace
        )
        try await restore.run { console.step($0) }
        console.clearStatus()
        if output.isJSON { return console.print(JSONWriter.object { $0.field("restored", folder.path) }.text) }
        console.print("Restored to \(folder.path).")
        console.print("Next: golden up --detach --data \(folder.path)")
    }
}
