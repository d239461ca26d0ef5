internal import ArgumentParser
internal import Contracts

/// Walks simulated canaries through the gate's own decisions, for `scripts/bench gate`.
///
/// Prints one JSON object for each scenario: how often the gate, a repeated z-test and a fixed threshold rolled back,
/// and after how many minutes in the median.
@main
struct GateSimulationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate-simulation",
        abstract: "How often the gate errs, and how fast it is, on simulated traffic.")

    @Argument(help: "Which scenarios; all by default.") var names: [String] = []
    @Option(help: "Walks of each.") var runs = 2000
    @Option(help: "Threads.") var workers = 2
    @Flag(help: "Name the scenarios.") var list = false

    func validate() throws {
        let unknown = names.filter { name in !Scenario.all.contains { $0.name == name } }
        guard unknown.isEmpty else { throw ValidationError("No scenario is named \(unknown.joined(separator: ", ")).") }
        guard runs > 0, workers > 0 else { throw ValidationError("--runs and --workers are counts.") }
    }

    func run() async throws {
        for scenario in Scenario.all where names.isEmpty || names.contains(scenario.name) {
            if list {
                print(scenario.name)
                continue
            }
            let outcome = try await scenario.play(runs: runs, workers: workers)
            print(Self.line(scenario, outcome).text)
        }
    }

    private static func line(_ scenario: Scenario, _ outcome: Scenario.Outcome) -> JSON {
        JSONWriter.object { writer in
            writer.field("scenario", scenario.name)
            for (name, score) in [
                ("gate", outcome.gate), ("reference", outcome.reference), ("repeated_z", outcome.repeatedZ),
                ("fixed_threshold", outcome.fixedThreshold),
            ] {
                writer.field(
                    name,
                    object: { writer in
                        writer.field("share", score.share)
                        if let minutes = score.medianMinutes { writer.field("median_minutes", minutes) }
                    })
            }
            writer.field(
                "rows",
                object: { writer in
                    for (row, count) in outcome.rows.sorted(by: { $0.key < $1.key }) { writer.field(row, count) }
                })
        }
    }
}
