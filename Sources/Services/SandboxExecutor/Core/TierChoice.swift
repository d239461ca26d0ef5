package import Contracts

/// Which tier serves, decided once at start from what the host was seen to allow. It fails closed: below the minimum
/// nothing is served, and never quietly less than was configured.
package enum TierChoice: Sendable, Equatable {
    /// What a start found out by trying.
    package struct Findings: Sendable, Equatable {
        /// Why there are no namespaces; nil when a sandbox of them was built.
        package var namespaces: String?
        /// Why no group could be made; nil when one was.
        package var cgroups: String?
        /// Why the restricted tier cannot be had; nil when it can.
        package var restricted: String?
        /// The process runs in gVisor or a microVM.
        package var isInsideOuterWall = false

        package init() {}
    }

    package enum Wish: String, Sendable, CaseIterable {
        /// The best there is, never below the minimum.
        case automatic = "auto"
        case namespaces, restricted, gvisor
    }

    case serve(SandboxTier, inner: SandboxTier)
    case refuse(reasons: [String])

    package static func choose(_ wish: Wish, minimum: SandboxTier, _ findings: Findings) -> TierChoice {
        var reasons: [String] = []
        let candidates: [SandboxTier] =
            switch wish {
            case .automatic: [.namespaces, .gvisor, .restricted]
            case .namespaces: [.namespaces]
            case .restricted: [.restricted]
            case .gvisor: [.gvisor]
            }
        for tier in candidates {
            let lacking = lacking(tier, findings)
            if !lacking.isEmpty {
                reasons += lacking.map { "\(tier.rawValue): \($0)" }
            } else if rank(tier) < rank(minimum) {
                reasons.append("\(tier.rawValue): below the minimum, \(minimum.rawValue)")
            } else {
                return .serve(tier, inner: inner(tier, findings))
            }
        }
        return .refuse(reasons: reasons)
    }

    private static func lacking(_ tier: SandboxTier, _ findings: Findings) -> [String] {
        switch tier {
        case .namespaces: [findings.namespaces, findings.cgroups].compactMap(\.self)
        case .restricted: [findings.restricted].compactMap(\.self)
        case .gvisor:
            findings.isInsideOuterWall
                ? (findings.namespaces == nil ? [] : [findings.restricted].compactMap(\.self))
                : ["this process does not run inside gVisor"]
        }
    }

    /// What the launcher is asked for; inside the outer wall, the better one that works.
    private static func inner(_ tier: SandboxTier, _ findings: Findings) -> SandboxTier {
        switch tier {
        case .namespaces, .restricted: tier
        case .gvisor: findings.namespaces == nil && findings.cgroups == nil ? .namespaces : .restricted
        }
    }

    private static func rank(_ tier: SandboxTier) -> Int {
        switch tier {
        case .restricted: 0
        case .namespaces: 1
        case .gvisor: 2
        }
    }
}

/// One thing that contains programs, checked at start by running one and looking at it from outside.
package enum Layer: String, Sendable, CaseIterable {
    case userNamespace = "user_namespace"
    case mountNamespace = "mount_namespace"
    case pidNamespace = "pid_namespace"
    case networkNamespace = "network_namespace"
    case ipcNamespace = "ipc_namespace"
    case utsNamespace = "uts_namespace"
    case cgroupNamespace = "cgroup_namespace"
    case slotUID = "slot_uid"
    case readOnlyRoot = "read_only_root"
    case hiddenHost = "hidden_host"
    case diskLimit = "disk_limit"
    case memoryLimit = "memory_limit"
    case processLimit = "process_limit"
    case timeLimit = "time_limit"
    case seccomp
    case landlock
    case noCapabilities = "no_capabilities"
    case noNewPrivileges = "no_new_privileges"
    case closedDescriptors = "closed_descriptors"
    case cleanEnvironment = "clean_environment"
    case network
    case nothingLeft = "nothing_left"
}
