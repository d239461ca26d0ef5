package import Contracts

/// What a self-test makes of what the program that looks around has seen.
package enum LayerFinding: Sendable, Equatable {
    case holds
    /// The host has nothing of the kind, and the tier does without.
    case absent(String)
    case fails(String)

    /// - Parameters:
    ///   - kernel: the newest version of Landlock that this kernel has; 0 for none.
    ///   - used: the one that the launcher put in place; 0 for none.
    ///   - signals: what came of a signal to the sandbox's own init.
    package static func landlock(kernel: Int, used: Int, tier: SandboxTier, signals: String?) -> LayerFinding {
        // Where the init is in a namespace of its own, that protects it, whatever Landlock the kernel has.
        if tier == .restricted, signals != "refused" { return .fails("it may signal its init") }
        if used > 0 { return .holds }
        return kernel > 0 ? .fails("the kernel has Landlock and it is not used") : .absent("not in this kernel")
    }

    /// - Parameters:
    ///   - interfaces: the names of those that it sees; nil when it could not look.
    ///   - seccomp: the mode that its status shows; 2 is a filter.
    package static func network(tier: SandboxTier, interfaces: String?, seccomp: String?) -> LayerFinding {
        let isClosed = tier == .restricted ? seccomp == "2" : interfaces == "lo"
        return isClosed ? .holds : .fails("it sees \(interfaces ?? "an unknown number of interfaces")")
    }
}
