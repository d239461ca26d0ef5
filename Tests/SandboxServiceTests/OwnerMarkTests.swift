import Testing

@testable import SandboxExecutorService

@Suite struct OwnerMarkTests {
    /// No host has so high a number of a process.
    @Test(arguments: [
        ("golden-sandbox.4194305.77.a", true), ("golden-sandbox.4194305.a", true), ("golden-sandbox.leaf", false),
        ("golden-sandbox.leaf.1.2", false), ("golden-executor", false), ("other.4194305.77.a", false),
    ])
    func `only what executors name after themselves is ever left`(name: String, isLeft: Bool) {
        #expect(OwnerMark.isLeft(name) == isLeft)
    }
}
