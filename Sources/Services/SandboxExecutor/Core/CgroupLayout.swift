package import Contracts

/// Where this host keeps its control groups, of either version or of both.
package struct CgroupLayout: Sendable, Equatable {
    /// The controllers that bound a run; without all three, no tier of namespaces.
    package static let needed = ["memory", "pids", "cpu"]
    /// Used where they are there.
    package static let wanted = ["cpuacct"]
    /// Where an executor puts itself, and whoever shares its group: in version 2 a group with processes may have no
    /// controllers for groups below it. A name that nobody else gives, and no run's.
    package static let leaf = "golden-sandbox.leaf"

    /// The folder of the process's own group in version 2's tree, or of the one above when its own is `leaf`; nil
    /// without that tree.
    package var v2: String?
    package var v2Controllers: Set<String> = []
    /// The same in each version 1 tree, by controller.
    package var v1: [String: String] = [:]

    /// - Parameters:
    ///   - mounts: `/proc/self/mountinfo`.
    ///   - own: `/proc/self/cgroup`.
    ///   - v2Controllers: of `cgroup.controllers` in version 2's own group.
    package init(mounts: String, own: String, v2Controllers: String) {
        let paths = Self.ownPaths(own)
        for line in mounts.split(separator: "\n") {
            let halves = line.split(separator: " - ", maxSplits: 1)
            guard halves.count == 2 else { continue }
            let (left, right) = (halves[0].split(separator: " "), halves[1].split(separator: " "))
            guard left.count >= 5, right.count >= 3 else { continue }
            let (root, place) = (String(left[3]), String(left[4]))
            switch right[0] {
            case "cgroup2": v2 = Self.folder(place, root: root, own: Self.aboveLeaf(paths[""] ?? "/"))
            case "cgroup":
                for option in right[2].split(separator: ",").map(String.init)
                where (Self.needed + Self.wanted).contains(option) {
                    v1[option] = Self.folder(place, root: root, own: paths[option] ?? "/")
                }
            default: break
            }
        }
        if v2 != nil { self.v2Controllers = Set(v2Controllers.split(whereSeparator: \.isWhitespace).map(String.init)) }
    }

    /// What bounds memory, processes and CPU: version 2 where it has all three controllers, else version 1.
    package enum Version: Sendable { case v1, v2 }

    package var version: Version? {
        if v2 != nil, v2Controllers.isSuperset(of: Self.needed) { return .v2 }
        if Self.needed.allSatisfy({ v1[$0] != nil }) { return .v1 }
        return nil
    }

    package var lacking: [String] { Self.needed.filter { v1[$0] == nil && !v2Controllers.contains($0) } }

    private static func ownPaths(_ text: String) -> [String: String] {
        var paths: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            for controller in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
                paths[String(controller)] = String(parts[2])
            }
        }
        return paths
    }

    /// Whoever an earlier executor took along has the leaf for its own group; it is the one above that is shared out.
    private static func aboveLeaf(_ own: String) -> String {
        own.hasSuffix("/\(leaf)") ? String(own.dropLast(leaf.count + 1)) : own
    }

    /// A container's mount begins at its own group, which `own` then names from further up.
    private static func folder(_ place: String, root: String, own: String) -> String {
        let below = root == "/" ? own : own.hasPrefix(root) ? String(own.dropFirst(root.count)) : "/"
        return below == "/" || below.isEmpty ? place : place + below
    }
}

/// One write into a control group's file.
package struct CgroupSetting: Sendable, Equatable {
    /// Nil in version 2.
    package let controller: String?
    package let file: String
    package let value: String
    /// Not every kernel has the file.
    package var isOptional = false

    package static func settings(_ limits: SandboxLimits, _ version: CgroupLayout.Version) -> [CgroupSetting] {
        let memory = "\(limits.memoryBytes ?? 0)"
        // The init of the sandbox is one process more.
        let pids = "\((limits.processes ?? 1) + 1)"
        let quota = "\((limits.cpuMillicores ?? 1000) * 100)"
        switch version {
        case .v2:
            return [
                CgroupSetting(controller: nil, file: "memory.max", value: memory),
                CgroupSetting(controller: nil, file: "memory.swap.max", value: "0", isOptional: true),
                CgroupSetting(controller: nil, file: "memory.oom.group", value: "1", isOptional: true),
                CgroupSetting(controller: nil, file: "pids.max", value: pids),
                CgroupSetting(controller: nil, file: "cpu.max", value: "\(quota) 100000"),
            ]
        case .v1:
            return [
                CgroupSetting(controller: "memory", file: "memory.limit_in_bytes", value: memory),
                CgroupSetting(
                    controller: "memory", file: "memory.memsw.limit_in_bytes", value: memory, isOptional: true),
                CgroupSetting(controller: "memory", file: "memory.swappiness", value: "0", isOptional: true),
                CgroupSetting(controller: "pids", file: "pids.max", value: pids),
                CgroupSetting(controller: "cpu", file: "cpu.cfs_period_us", value: "100000"),
                CgroupSetting(controller: "cpu", file: "cpu.cfs_quota_us", value: quota),
            ]
        }
    }

    /// No bound on processor time any more: what is to end needs some for it.
    package static func unbounded(_ version: CgroupLayout.Version) -> CgroupSetting {
        switch version {
        case .v2: CgroupSetting(controller: nil, file: "cpu.max", value: "max 100000", isOptional: true)
        case .v1: CgroupSetting(controller: "cpu", file: "cpu.cfs_quota_us", value: "-1", isOptional: true)
        }
    }

    /// The number behind a word, one of each line: `oom_kill 3`.
    package static func count(_ word: String, in text: String) -> Int {
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2, parts[0] == word { return Int(parts[1]) ?? 0 }
        }
        return 0
    }
}
