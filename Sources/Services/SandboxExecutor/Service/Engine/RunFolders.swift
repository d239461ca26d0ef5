internal import Logging
internal import Processes
internal import SandboxExecutorCore
internal import Synchronization

/// The folders that runs have in the tier without namespaces: one each, which belongs to the run's uid.
///
/// What is in them is the programs' work. It is touched by launchers alone, which take the folder's uid first.
final class RunFolders: Sendable {
    /// For a launcher to empty one; it goes on from there at the next sweep.
    private static let emptyMax: Duration = .seconds(10)
    /// For a sweep, which a shutdown waits for: what is not empty then is gone on with at the next.
    private static let sweepMax: Duration = .seconds(3)

    private let state: String
    private let launcher: String
    private let uids: Range<Int>
    private let logger: Logger
    /// Those of this process that could not be removed, with their uids.
    private let left = Mutex<[String: Int]>([:])

    /// - Parameter uids: those that runs of this executor have.
    init(_ configuration: EngineConfiguration, uids: Range<Int>, logger: Logger) {
        state = configuration.state
        launcher = configuration.launcher
        self.logger = logger
        // Whoever is not root has no other.
        let own = Int(KernelFiles.effectiveUser)
        self.uids = own == 0 ? uids : own..<own + 1
    }

    func make(uid: Int) throws(ProcessError) -> String {
        let path = "\(state)/\(try OwnerMark.new())"
        try KernelFiles.makeFolder(path, mode: 0o700)
        do throws(ProcessError) {
            if KernelFiles.effectiveUser == 0 { try KernelFiles.setOwner(path, uid: UInt32(uid)) }
        } catch {
            _ = isRemoved(path)
            throw error
        }
        return path
    }

    /// Blocks for as long as emptying it takes.
    ///
    /// - Returns: false when something is left in it: nobody else may have its uid until a sweep says so. Without root
    ///   all runs have this process's uid, so that keeping one back would protect nobody.
    func remove(_ path: String, uid: Int) -> Bool {
        if isRemoved(path, uid, atMost: Self.emptyMax) { return true }
        left.withLock { $0[path] = uid }
        return KernelFiles.effectiveUser != 0
    }

    /// Removes what this process has left and what those did that are no more.
    ///
    /// - Returns: the uids of this process's runs that others may have again.
    func sweep() -> [Int] {
        let end = ContinuousClock.now + Self.sweepMax
        var free: [Int] = []
        for (path, uid) in left.withLock({ $0 }) where ContinuousClock.now < end {
            guard isRemoved(path, uid, atMost: end - .now) else { continue }
            left.withLock { $0[path] = nil }
            if KernelFiles.effectiveUser == 0 { free.append(uid) }
        }
        for name in KernelFiles.list(state) where ContinuousClock.now < end && OwnerMark.isLeft(name) {
            let path = "\(state)/\(name)"
            // Where everybody may write, anybody may have made it.
            guard let owner = KernelFiles.owner(path).map({ Int($0.uid) }), uids.contains(owner) else { continue }
            if !isRemoved(path, owner, atMost: end - .now) {
                logger.warning("a folder of an executor that is gone is not empty yet", metadata: ["folder": "\(path)"])
            }
        }
        return free
    }

    private func isRemoved(_ path: String, _ uid: Int, atMost limit: Duration) -> Bool {
        // The launcher of a run has emptied it, as a rule.
        if isRemoved(path) { return true }
        empty(path, uid, atMost: limit)
        return isRemoved(path)
    }

    private func isRemoved(_ path: String) -> Bool {
        do throws(ProcessError) {
            try KernelFiles.removeFolder(path)
            return true
        } catch {
            return false
        }
    }

    private func empty(_ path: String, _ uid: Int, atMost limit: Duration) {
        do throws(ProcessError) {
            let (records, end) = try Descriptor.pipe()
            let slot = KernelFiles.effectiveUser == 0 ? uid : Int(KernelFiles.effectiveUser)
            let child = try ChildProcess(
                launcher, arguments: LaunchSpec.emptying(path, slotUID: slot),
                descriptors: [0, 1, 2, LaunchSpec.Descriptor.status].map { (ours: end, theirs: $0) })
            if !Poller.wait([.reading(child.ended)], atMost: limit)[0] { child.kill() }
            child.wait()
            records.close()
        } catch {
            logger.warning("no launcher empties a folder", metadata: ["folder": "\(path)", "error": "\(error)"])
        }
    }
}
