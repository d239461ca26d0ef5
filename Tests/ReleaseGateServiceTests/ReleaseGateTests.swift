import ReleaseGateCore
import ReleaseGateService
import Testing

@Suite struct `The gate` {
    @Test func `walks a canary by default`() {
        #expect(ReleaseGate(policy: GatePolicy(objectives: [])).policy.stepPercents == [10, 50, 100])
    }
}
