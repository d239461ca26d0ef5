internal import ArgumentParser
internal import Contracts

/// `golden doctor`
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what is missing for the embedded stack and the command that fixes it.",
        discussion: """
            Ends with 0 when nothing is missing and 1 otherwise. What is optional may stay as it is.

            EXAMPLES:
              golden doctor
              golden doctor --json
            """
    )

    @OptionGroup var data: FolderOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let environment = Caller.environment
        let console = Console(environment: environment)
        let folder = data.folder(environment)
        let findings = await Doctor(folder: folder, environment: environment).examine()
        let isWell = findings.allSatisfy(\.isFine)
        if output.isJSON {
            let answer = JSONWriter.object { writer in
                writer.field("ok", isWell)
                writer.field(
                    "checks",
                    array: { writer in
                        for finding in findings { writer.element(object: finding.write) }
                    })
            }
            console.print(answer.text)
        } else {
            var table = Table("CHECK", "RESULT", "FOUND OR FIX")
            for finding in findings {
                let style: Console.Style = finding.fix == nil ? .green : finding.isNeeded ? .red : .yellow
                table.add(.init(finding.name), .init(finding.word, style), .init(finding.fix ?? finding.found))
            }
            console.print(table)
            console.note(
                isWell
                    ? "Nothing is missing. Next: golden up --detach\(folder.option)"
                    : "Run the commands above, then golden doctor again.")
        }
        if !isWell { throw ExitStatus.other }
    }
}
