internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate slo`
struct SLOCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slo", abstract: "The objectives: whether they make sense, and how much of them is left.",
        subcommands: [Lint.self, Status.self])

    struct Lint: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Finds fault with objectives before anything is measured by them. Ends with 2 when it does.")
        @OptionGroup var gate: GateOptions

        func run() async throws {
            guard try await gate.run({ $0.lint() }) else { throw ExitCode(2) }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows each objective's budget, what is left of it, and what burns.",
            discussion: """
                EXAMPLE:
                  release-gate slo status --config release/gate.yaml --env staging
                """)
        @OptionGroup var gate: GateOptions

        @Option(help: "dev, staging or prod, where gate.yaml has a namespace for each; all that is seen by default.")
        var env: String?

        @Option(help: "As of this Unix time; now by default.")
        var at: Int?

        func run() async throws {
            let (environment, at) = (env, at)
            try await gate.run { try await $0.status(environment: environment, at: at) }
        }
    }
}
