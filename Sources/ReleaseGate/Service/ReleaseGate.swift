package import ReleaseGateCore

/// The release gate's service: gathers evidence, asks the core, carries out and records what it decided.
package struct ReleaseGate: Sendable {
    package let policy: GatePolicy

    package init(policy: GatePolicy) { self.policy = policy }
}
