internal import ArgumentParser
internal import Bootstrap
internal import Logging
internal import ReleaseGateService

/// Where the rules stand.
struct GateOptions: ParsableArguments {
    @Option(help: "What is watched, and by which rules.")
    var config = "gate.yaml"

    @Option(help: "Scrape this instead of gate.yaml's source: [label=value,…@]http://host:port/metrics. Repeatable.")
    var scrape: [String] = []

    /// Opens what it names, runs the command, and closes it.
    func run<Result: Sendable>(
        _ body: @Sendable @escaping (GateSession) async throws -> Result
    ) async throws -> Result {
        let settings = ServiceConfiguration()
        let level = max(try settings.logLevel(), .warning)
        let logger = LogOutput(descriptor: 2).logger(service: "release-gate", level: level)
        return try await GateSession.with(
            file: config, scrape: scrape, settings: settings, logger: logger, body)
    }
}

/// What is released, and where.
struct ReleaseOptions: ParsableArguments {
    @Option(help: "What is released.")
    var release = "release.yaml"

    @Option(help: "dev, staging or prod.")
    var env = "prod"

    func file() throws -> ReleaseFile { try ReleaseFile(file: release) }
}

/// What a person decides past the gate, with a reason.
struct DecisionOptions: ParsableArguments {
    @OptionGroup var gate: GateOptions
    @OptionGroup var what: ReleaseOptions

    @Option(help: "Why; it stays in the lineage.")
    var reason: String

    @Flag(help: "Run the adapter's commands instead of only showing them.")
    var carryOut = false

    /// - Parameter decide: the release, its environment, the reason, and whether the adapter's commands are run.
    func run(
        _ decide:
            @Sendable @escaping (
                GateSession, _ release: ReleaseFile, _ environment: String, _ reason: String, _ isArmed: Bool
            ) async throws -> Void
    ) async throws {
        let (release, environment, reason, isArmed) = (try what.file(), what.env, reason, carryOut)
        try await gate.run { try await decide($0, release, environment, reason, isArmed) }
    }
}
