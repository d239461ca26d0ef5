internal import Contracts
internal import Processes
internal import SandboxExecutorCore

/// This process's part of the host's control groups: one folder that holds a fresh group for every run.
struct CgroupHost: Sendable {
    /// For processes that end or begin while they are moved out of the way.
    private static let delegateMax: Duration = .seconds(1)
    private static let delegatePause: Duration = .milliseconds(10)
    private static let controllers = "+memory +pids +cpu"

    let version: CgroupLayout.Version
    /// Folders to make groups in, of version 2 and of each version 1 controller.
    let v2: String?
    let v1: [String: String]

    /// - Throws: what keeps this host from having groups made by us: found out by making them.
    init() throws(SandboxError) {
        let layout = try Self.layout()
        guard let version = layout.version else {
            throw SandboxError(
                .refused, "no control groups for \(layout.lacking.joined(separator: ", ")) are mounted and writable")
        }
        self.version = version
        do throws(ProcessError) {
            let name = try OwnerMark.new()
            if version == .v2, let root = layout.v2 { try Self.delegate(root) }
            var v1: [String: String] = [:]
            if version == .v1 {
                for (controller, root) in layout.v1 { v1[controller] = try Self.make(name, below: root) }
            }
            self.v1 = v1
            // Beside version 1, an empty group of version 2 still gives a kill that nothing outruns.
            v2 = try layout.v2.map { root throws(ProcessError) in try Self.make(name, below: root) }
            if version == .v2, let v2 {
                try KernelFiles.write(Self.controllers, to: "\(v2)/cgroup.subtree_control")
            }
        } catch {
            throw SandboxError(.refused, "no control group can be made", underlying: error)
        }
    }

    private static func layout() throws(SandboxError) -> CgroupLayout {
        do throws(ProcessError) {
            let mounts = try KernelFiles.read("/proc/self/mountinfo")
            let own = try KernelFiles.read("/proc/self/cgroup")
            var layout = CgroupLayout(mounts: mounts, own: own, v2Controllers: "")
            if let v2 = layout.v2 {
                let controllers = try KernelFiles.read("\(v2)/cgroup.controllers")
                layout = CgroupLayout(mounts: mounts, own: own, v2Controllers: controllers)
            }
            return layout
        } catch {
            throw SandboxError(.refused, "the control groups of this process cannot be read", underlying: error)
        }
    }

    private static func make(_ name: String, below root: String) throws(ProcessError) -> String {
        let path = "\(root)/\(name)"
        if !KernelFiles.exists(path) { try KernelFiles.makeFolder(path) }
        return path
    }

    /// Lets groups below `root` have controllers: its own processes move into a leaf first, unless it is the root.
    private static func delegate(_ root: String) throws(ProcessError) {
        let end = ContinuousClock.now + delegateMax
        while true {
            do throws(ProcessError) {
                if KernelFiles.exists("\(root)/cgroup.type") { try moveProcesses(of: root) }
                return try KernelFiles.write(controllers, to: "\(root)/cgroup.subtree_control")
            } catch {
                // One that was listed has ended, or has started another: the next look finds what is there then.
                guard ContinuousClock.now < end else { throw error }
            }
            KernelFiles.pause(delegatePause)
        }
    }

    private static func moveProcesses(of root: String) throws(ProcessError) {
        let leaf = try make(CgroupLayout.leaf, below: root)
        for pid in try KernelFiles.read("\(root)/cgroup.procs").split(separator: "\n") {
            try KernelFiles.write(String(pid), to: "\(leaf)/cgroup.procs")
        }
    }

    // MARK: Runs

    func makeRun(_ name: String, limits: SandboxLimits) throws(ProcessError) -> CgroupRun {
        let run = CgroupRun(
            version: version, v2: v2.map { "\($0)/\(name)" }, v1: v1.mapValues { "\($0)/\(name)" })
        do throws(ProcessError) {
            for folder in run.folders { try KernelFiles.makeFolder(folder) }
            for setting in CgroupSetting.settings(limits, version) { try run.write(setting) }
        } catch {
            run.removeQuietly()
            throw error
        }
        return run
    }

    // MARK: Leftovers

    /// Ends and removes what executors left that are no more.
    func sweep() {
        for folder in v1.values + [v2].compactMap(\.self) {
            let root = HostFiles.parent(folder)
            for name in KernelFiles.list(root) where OwnerMark.isLeft(name) {
                for run in KernelFiles.list("\(root)/\(name)") {
                    let place = "\(root)/\(name)/\(run)"
                    if KernelFiles.exists("\(place)/cgroup.procs") { CgroupRun.empty(place) }
                }
                CgroupRun.empty("\(root)/\(name)")
            }
        }
    }

    /// At the end of this process, when no run is left.
    func remove() {
        for folder in v1.values + [v2].compactMap(\.self) { CgroupRun.empty(folder) }
    }
}

/// The groups of one run; never used for another, so that what is counted is its own.
struct CgroupRun: Sendable {
    /// For the kernel to let go of processes that have ended.
    private static let removeTries = 200
    private static let removePause: Duration = .milliseconds(10)

    let version: CgroupLayout.Version
    let v2: String?
    let v1: [String: String]

    var folders: [String] { [v2].compactMap(\.self) + v1.values.sorted() }

    struct Counts: Sendable {
        var cpuMicroseconds: Int?
        var memoryPeakBytes: Int?
        var memoryKills = 0
        var processRefusals = 0
    }

    func write(_ setting: CgroupSetting) throws(ProcessError) {
        guard let folder = setting.controller.map({ v1[$0] }) ?? v2 else { return }
        let path = "\(folder)/\(setting.file)"
        if setting.isOptional, !KernelFiles.exists(path) { return }
        do throws(ProcessError) {
            try KernelFiles.write(setting.value, to: path)
        } catch  where setting.isOptional {
            return
        }
    }

    /// What the kernel has counted by now; what cannot be read is left out.
    func counts() -> Counts {
        var counts = Counts()
        func read(_ folder: String?, _ file: String) -> String? {
            guard let folder, KernelFiles.exists("\(folder)/\(file)") else { return nil }
            do { return try KernelFiles.read("\(folder)/\(file)") } catch { return nil }
        }
        func number(_ text: String?) -> Int? { text.flatMap { Int($0.split(separator: "\n").first ?? "") } }
        if let stat = read(v2, "cpu.stat") {
            counts.cpuMicroseconds = CgroupSetting.count("usage_usec", in: stat)
        } else if let usage = number(read(v1["cpuacct"], "cpuacct.usage")) {
            counts.cpuMicroseconds = usage / 1000
        }
        switch version {
        case .v2:
            counts.memoryPeakBytes = number(read(v2, "memory.peak"))
            counts.memoryKills = CgroupSetting.count("oom_kill", in: read(v2, "memory.events") ?? "")
            counts.processRefusals = CgroupSetting.count("max", in: read(v2, "pids.events") ?? "")
        case .v1:
            counts.memoryPeakBytes = number(read(v1["memory"], "memory.max_usage_in_bytes"))
            counts.memoryKills = CgroupSetting.count("oom_kill", in: read(v1["memory"], "memory.oom_control") ?? "")
            counts.processRefusals = CgroupSetting.count("max", in: read(v1["pids"], "pids.events") ?? "")
        }
        return counts
    }

    /// Everything in it, at once where the kernel can. To end takes processor time, and much of it where much memory is
    /// mapped: it has as much as there is for that.
    func kill() {
        do throws(ProcessError) {
            try write(.unbounded(version))
        } catch {
            // Not every kernel has the bound; without the write all ends the same, more slowly.
        }
        for folder in folders { Self.kill(folder) }
    }

    /// False when something is left in it that does not end in time.
    func remove() -> Bool {
        if removeAtOnce() { return true }
        kill()
        return folders.map { Self.isRemoved($0, tries: Self.removeTries) }.allSatisfy(\.self)
    }

    /// False when something is left in it at this moment.
    func removeAtOnce() -> Bool { folders.map { Self.isRemoved($0) }.allSatisfy(\.self) }

    func removeQuietly() { _ = remove() }

    private static func kill(_ folder: String) {
        let kill = "\(folder)/cgroup.kill"
        do throws(ProcessError) {
            if KernelFiles.exists(kill) { return try KernelFiles.write("1", to: kill) }
            for pid in try KernelFiles.read("\(folder)/cgroup.procs").split(separator: "\n") {
                if let pid = Int32(pid) { ChildProcess.killForeign(pid) }
            }
        } catch {
            // It is gone, and what was in it as well.
            return
        }
    }

    @discardableResult
    static func empty(_ folder: String) -> Bool {
        if isRemoved(folder) { return true }
        kill(folder)
        return isRemoved(folder, tries: removeTries)
    }

    private static func isRemoved(_ folder: String, tries: Int = 1) -> Bool {
        for attempt in 0..<tries {
            if attempt > 0 { KernelFiles.pause(removePause) }
            do throws(ProcessError) {
                try KernelFiles.removeFolder(folder)
                return true
            } catch {
                // The kernel has not let go of all that was in it.
                continue
            }
        }
        return false
    }
}
