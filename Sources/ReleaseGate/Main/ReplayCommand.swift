internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate replay`
struct ReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Make recorded decisions again from their evidence, and compare.",
        discussion: """
            The same evidence and policy give the same decision, byte for byte. Ends with 2 when one differs.

            EXAMPLES:
              release-gate replay
              release-gate replay 41
            """)

    @OptionGroup var gate: GateOptions

    @Argument(help: "One decision's entry; all of them by default.")
    var entry: Int?

    func run() async throws {
        let entry = entry
        guard try await gate.run({ try await $0.replay(entry) }) else { throw ExitCode(2) }
    }
}
