internal import Processes
internal import SandboxExecutorCore
internal import Synchronization

/// The network namespaces of slots. One is empty and stays so: its sandboxes, which enter it one after the other, have
/// no rights over it, and each launcher looks for what the one before may have left. Made when first needed, because
/// making and taking apart one for every run would cost the kernel as much as all else of a sandbox.
final class SlotNetworks: Sendable {
    /// Sandboxes that enter one before it is replaced, whatever was found in it.
    static let usesMax = 1000

    private struct Network {
        let descriptor: Descriptor
        var uses = 0
    }

    private struct State {
        var networks: [Int: Network] = [:]
        var areRefused = false
    }

    private let state = Mutex(State())

    /// Nil where none can be had: without root, each sandbox makes its own.
    func enter(_ uid: Int) -> Descriptor? {
        state.withLock { state in
            guard !state.areRefused else { return nil }
            if state.networks[uid] == nil {
                guard let made = Descriptor.newNetwork() else {
                    state.areRefused = true
                    return nil
                }
                state.networks[uid] = Network(descriptor: made)
            }
            state.networks[uid]?.uses += 1
            return state.networks[uid]?.descriptor
        }
    }

    /// Nothing of the sandbox is left.
    ///
    /// - Parameter found: what its launcher said of the namespace; nil when it came to nothing.
    func leave(_ uid: Int, _ found: LauncherReport.Network?) {
        state.withLock { state in
            guard let network = state.networks[uid] else { return }
            // A new one that is not found empty: here, launchers cannot enter one, or the kernel does not count.
            if found == .unclean, network.uses == 1 { state.areRefused = true }
            if found != .slot || network.uses >= Self.usesMax { state.networks[uid] = nil }
        }
    }
}
