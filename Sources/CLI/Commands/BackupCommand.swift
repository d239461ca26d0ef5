internal import ArgumentParser
internal import Contracts

/// `golden backup`
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Back up the embedded stack's database and secrets while it runs.",
        discussion: """
            One consistent snapshot: what was accepted before it began is in it. The folder also holds the stack's
            secrets, which the database is of little use without; keep it as safe as those.

            EXAMPLES:
              golden backup backups/monday
              golden restore backups/monday --data .golden-b
            """
    )

    @OptionGroup var data: FolderOptions
    @OptionGroup var output: OutputOptions

    @Argument(help: "The backup's folder; what an earlier backup left there is replaced.") var backup: String

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let folder = data.folder(environment)
        let record = try StackRecord.require(runningIn: folder)
        let target = StackBackup(backup)
        let bytes = try await target.take(of: folder, record, environment: environment)
        if output.isJSON {
            let answer = JSONWriter.object { writer in
                writer.field("backup", target.path)
                writer.field("bytes", bytes)
            }
            return console.print(answer.text)
        }
        console.print("Backed up to \(target.path): \(bytes >> 10) KiB and the secrets.")
    }
}
