internal import ArgumentParser
internal import ReleaseGateCore

/// Walks simulated canaries through the gate's own decisions, for `scripts/bench gate`.
@main
struct GateSimulationCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate-simulation", abstract: "How often the gate errs, and how fast it is, on simulated traffic.")
}
