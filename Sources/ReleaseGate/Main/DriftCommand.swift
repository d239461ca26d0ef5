internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate drift`
struct DriftCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drift", abstract: "Compare the images that run with those of the release.",
        discussion: """
            Exit codes: 0 nothing differs, 10 something does, 2 invalid.

            EXAMPLE:
              kubectl get pods -n golden-architecture -o json | release-gate drift --running -
            """)

    @OptionGroup var gate: GateOptions

    @Option(help: "What is released.")
    var release = "release.yaml"

    @Option(help: "What `kubectl get pods -o json` printed; - for standard input.")
    var running: String

    func run() async throws {
        let (release, running) = (try ReleaseFile(file: release), running)
        throw ExitCode(try await gate.run { try $0.drift(release, running: running) })
    }
}
