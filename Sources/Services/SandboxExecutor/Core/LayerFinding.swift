package import Contracts

/// What a self-test makes of what the program that looks around has seen: why a layer does not hold; nil when it does.
package enum LayerFinding {
    /// A kernel that has none is done without.
    ///
    /// - Parameters:
    ///   - kernel: the newest version of Landlock that this kernel has; 0 for none.
    ///   - used: the one that the launcher put in place; 0 for none.
    ///   - signals: what came of a signal to the sandbox's own init.
    package static func landlock(kernel: Int, used: Int, tier: SandboxTier, signals: String?) -> String? {
        // Where the init is in a namespace of its own, that protects it, whatever Landlock the kernel has.
        if tier == .restricted, signals != "refused" { return "it may signal its init" }
        return used > 0 || kernel == 0 ? nil : "the kernel has Landlock and it is not used"
    }

    /// - Parameters:
    ///   - interfaces: the names of those that it sees; nil when it could not look.
    ///   - seccomp: the mode that its status shows; 2 is a filter.
    package static func network(tier: SandboxTier, interfaces: String?, seccomp: String?) -> String? {
        let isClosed = tier == .restricted ? seccomp == "2" : interfaces == "lo"
        return isClosed ? nil : "it sees \(interfaces ?? "an unknown number of interfaces")"
    }
}
