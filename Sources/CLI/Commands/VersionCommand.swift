internal import ArgumentParser
internal import Contracts

/// `golden version`
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    @OptionGroup var output: OutputOptions

    func run() throws {
        let console = Console(environment: Caller.environment)
        let answer = JSONWriter.object { $0.field("version", Version.current) }
        console.print(output.isJSON ? answer.text : "golden \(Version.current)")
    }
}
