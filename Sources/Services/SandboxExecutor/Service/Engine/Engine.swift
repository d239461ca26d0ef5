internal import Contracts
internal import Crypto
internal import DriverThreads
internal import FoundationEssentials
internal import Logging
internal import Processes
internal import SandboxExecutorCore
internal import Synchronization

/// Runs programs, each in a sandbox of its own: warm where one fits, else cold.
final class Engine: Sendable {
    /// How a run ended, as it is stored.
    struct Done: Sendable {
        var outcome: SandboxOutcome
        var pieces: Pieces
        /// For the circuit breaker.
        var isEngineFailure: Bool
        /// Somebody else has to run it.
        var wasAbandoned = false
        /// Something is left that does not end.
        var isLeaky = false
    }

    /// What one run is about.
    struct Job: Sendable {
        let execution: ExecutionID
        let attempt: Int
        let plan: RunPlan
        let onEvents: @Sendable ([SandboxEvent]) -> Void
        /// Hears of the sandbox, for stopping it.
        let onStart: @Sendable (Sandbox) -> Void
    }

    let tier: SandboxTier
    let inner: SandboxTier
    let files: SandboxFiles
    let rules: ProgramRules
    let warm: WarmPool
    private let configuration: EngineConfiguration
    private let cgroups: CgroupHost?
    private let slots: UIDSlots
    private let folders: RunFolders
    private let networks = SlotNetworks()
    /// Groups of runs that did not end in time, with their uids.
    private let left = Mutex<[(group: CgroupRun, uid: Int)]>([])
    private let numbers = Mutex(0)
    private let logger: Logger

    init(
        _ configuration: EngineConfiguration, tier: SandboxTier, inner: SandboxTier, files: SandboxFiles,
        cgroups: CgroupHost?, logger: Logger
    ) {
        self.configuration = configuration
        self.tier = tier
        self.inner = inner
        self.files = files
        self.cgroups = inner == .namespaces ? cgroups : nil
        self.logger = logger
        rules = ProgramRules(
            languages: files.languages, ceiling: configuration.ceiling, ceilings: configuration.ceilings,
            variables: configuration.variables
        )
        // Twice the warm ones, since each is replaced while it runs.
        let warmCount = files.languages.languages.reduce(0) { $0 + 2 * ($1.warm?.size ?? 0) }
        let slotCount = configuration.concurrency + warmCount + 2
        slots = UIDSlots(base: configuration.uidBase, count: slotCount)
        let uids = configuration.uidBase..<configuration.uidBase + slotCount
        folders = RunFolders(configuration, uids: uids, logger: logger)
        warm = WarmPool(isOn: configuration.isWarm && inner == .namespaces, logger: logger)
    }

    // MARK: Running

    func run(_ job: Job) async -> Done {
        let plan = job.plan
        let transcript = Transcript(
            execution: job.execution, attempt: job.attempt, keeping: plan.limits.outputBytes ?? 0)
        let assignment = Sandbox.Assignment(
            transcript: transcript, stdin: plan.program.stdin, wall: plan.wall,
            outputBytesHard: RunPlan.outputBytesHard, onEvents: job.onEvents
        )
        if plan.canBeWarm, let sandbox = warm.take(plan.language.id) {
            var fed = assignment
            fed.feed = WarmFeed.bytes(of: plan)
            sandbox.assign(fed)
            job.onStart(sandbox)
            let ended = await sandbox.ended()
            // Else it was dying when it was asked, and has begun nothing.
            if ended.transcript != nil || ended.facts.stop != nil { return done(ended, plan, isWarm: true) }
        }
        do {
            let sandbox = try start(plan, assignment)
            job.onStart(sandbox)
            return done(await sandbox.ended(), plan, isWarm: false)
        } catch {
            logger.error("a sandbox could not be started", metadata: ["error": "\(error)"])
            return Done(
                outcome: .failed("sandbox_unavailable", "No sandbox could be had."), pieces: Pieces(),
                isEngineFailure: true)
        }
    }

    /// Starts a warm interpreter, which `warm` keeps once it is ready.
    func startWarm(_ language: Language, onReady: @escaping @Sendable () -> Void) throws -> Sandbox {
        guard let prelude = language.warm.flatMap({ files.preludes[$0.prelude] }),
            let plan = try rules.warmPlan(language, prelude: prelude)
        else { throw SandboxError(.unavailable, "\(language.id) has no warm interpreters.") }
        return try start(plan, nil, onReady: onReady)
    }

    var freeSlots: Int { slots.freeCount - configuration.concurrency }

    private func start(
        _ plan: RunPlan, _ assignment: Sandbox.Assignment?, onReady: @escaping @Sendable () -> Void = {}
    ) throws -> Sandbox {
        guard let uid = slots.take() else { throw SandboxError(.unavailable, "All slots are taken.") }
        let number = numbers.withLock { number in
            number += 1
            return number
        }
        var group: CgroupRun?
        var folder: String?
        do {
            group = try cgroups?.makeRun("run-\(number)", limits: plan.limits)
            if inner == .restricted { folder = try folders.make(uid: uid) }
            var spec = spec(plan, uid: uid, group: group, folder: folder, isWarm: assignment == nil)
            let network = inner == .namespaces ? networks.enter(uid) : nil
            spec.entersNetwork = network != nil
            let recipe = Sandbox.Recipe(
                launcher: configuration.launcher, spec: spec, files: plan.files.map(\.content), group: group,
                network: network)
            return try Sandbox(recipe, assignment: assignment, onReady: onReady) {
                [self, group, folder] ended in clear(&ended, uid: uid, group: group, folder: folder)
            }
        } catch {
            group?.removeQuietly()
            if folder.map({ folders.remove($0, uid: uid) }) ?? true { slots.giveBack(uid) }
            throw error
        }
    }

    /// Removes what is left of a sandbox, and gives back its slot.
    private func clear(_ ended: inout Sandbox.Ended, uid: Int, group: CgroupRun?, folder: String?) {
        networks.leave(uid, ended.isLeaky ? nil : ended.facts.report.layers?.network)
        if ended.isLeaky, let group { left.withLock { $0.append((group, uid)) } }
        if let folder, !folders.remove(folder, uid: uid) { ended.isLeaky = true }
        // Beside something that would not go, nobody else gets its uid until a sweep finds it gone.
        if ended.isLeaky { return logger.error("a sandbox left something behind", metadata: ["uid": "\(uid)"]) }
        slots.giveBack(uid)
    }

    private func spec(_ plan: RunPlan, uid: Int, group: CgroupRun?, folder: String?, isWarm: Bool) -> LaunchSpec {
        let (language, limits) = (plan.language, plan.limits)
        let isRestricted = inner == .restricted
        let run = isWarm ? language.warm?.run ?? language.run : plan.command
        let slotUID = isRestricted && KernelFiles.effectiveUser != 0 ? Int(KernelFiles.effectiveUser) : uid
        var spec = LaunchSpec(
            slotUID: slotUID, seccomp: files.policy(isRestricted ? "restricted" : language.seccomp), run: run)
        spec.cgroupV2 = group?.v2
        spec.cgroupV1 = group?.v1.values.sorted() ?? []
        spec.mounts = isRestricted ? files.mounts(language) : files.rootMounts + files.mounts(language)
        spec.links = isRestricted ? [] : language.links
        spec.data = plan.files.map(\.path)
        spec.restricted = folder
        let (box, tmp) = ("\(folder ?? "")/box", "\(folder ?? "")/tmp")
        var environment = ["PATH": "/usr/bin:/bin", "HOME": box, "TMPDIR": tmp, "LANG": "C.UTF-8"]
        environment.merge(language.environment) { $1 }
        if !isWarm { environment.merge(plan.program.environment) { $1 } }
        spec.environment = environment.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        spec.sizes.boxBytes = limits.diskBytes ?? spec.sizes.boxBytes
        spec.sizes.inodes = limits.inodes ?? spec.sizes.inodes
        spec.sizes.cpuSeconds = limits.cpuSeconds ?? spec.sizes.cpuSeconds
        spec.sizes.openFiles = limits.openFiles ?? spec.sizes.openFiles
        spec.sizes.fileBytes = limits.fileBytes ?? spec.sizes.fileBytes
        if isRestricted {
            spec.sizes.processes = limits.processes
            // Without a group to count pages, address space is all there is to bound, and interpreters reserve a lot.
            spec.sizes.addressSpace = limits.memoryBytes.map { max($0 * 4, 1 << 30) }
        }
        spec.runArguments = isWarm ? [] : plan.program.arguments
        spec.compile = isWarm || plan.program.isTest ? [] : language.compile
        spec.artifacts = plan.program.artifacts
        spec.isWarm = isWarm
        return spec
    }

    // MARK: What came of it

    private func done(_ ended: Sandbox.Ended, _ plan: RunPlan, isWarm: Bool) -> Done {
        let facts = ended.facts
        let verdict = Verdict(facts)
        var outcome = SandboxOutcome(status: verdict.status)
        outcome.exitCode = verdict.exitCode
        outcome.signal = verdict.signal
        outcome.failedToCompile = verdict.failedToCompile
        outcome.failure = verdict.failure
        outcome.stdout = ended.transcript?.output(of: .stdout) ?? SandboxOutcome.Output()
        outcome.stderr = ended.transcript?.output(of: .stderr) ?? SandboxOutcome.Output()
        outcome.artifacts = (ended.artifacts ?? []).map { entry in
            SandboxOutcome.Artifact(
                name: entry.name, bytes: entry.content.count, sha256: Self.hash(entry.content), content: entry.content)
        }
        outcome.artifactsSkipped = facts.report.artifacts?.skipped ?? 0
        // What was cut off on its way is missing as well; where nothing was run, nothing is.
        let isCutOff = !plan.program.artifacts.isEmpty && ended.artifacts == nil && !facts.report.started.isEmpty
        outcome.artifactsTruncated = facts.report.artifacts?.isTruncated == true || isCutOff
        outcome.usage.wallMicroseconds = Int(ended.wall / .microseconds(1))
        let exits = facts.report.exits.values
        outcome.usage.cpuMicroseconds =
            facts.cpuMicroseconds ?? facts.report.usage?.cpuMicroseconds
            ?? exits.reduce(0) { $0 + $1.cpuMicroseconds }
        outcome.usage.memoryPeakBytes =
            facts.memoryPeakBytes ?? facts.report.usage?.memoryPeakBytes ?? exits.map(\.memoryPeakBytes).max() ?? 0
        outcome.hitProcessLimit = facts.processRefusals > 0
        if let layers = facts.report.layers {
            outcome.isolation = SandboxOutcome.Isolation(
                tier: tier, cgroup: layers.cgroup, landlock: layers.landlock, isWarm: isWarm)
        }
        if verdict.isEngineFailure {
            logger.error("a sandbox failed", metadata: ["error": "\(verdict.failure?.message ?? "")"])
        }
        return Done(
            outcome: outcome, pieces: ended.transcript?.pieces ?? Pieces(), isEngineFailure: verdict.isEngineFailure,
            wasAbandoned: facts.stop == .abandoned, isLeaky: ended.isLeaky
        )
    }

    private static func hash(_ bytes: [UInt8]) -> String { Hexadecimal.text(bytes: SHA256.hash(data: bytes)) }

    /// Removes what executors left, this one or such as are no more, on a thread of its own: it waits for the kernel.
    func sweep() async {
        await withCheckedContinuation { continuation in
            startThread(name: "sandbox-sweep") { [self] in
                cgroups?.sweep()
                for uid in sweepGroups() + folders.sweep() { slots.giveBack(uid) }
                continuation.resume()
            }
        }
    }

    /// The uids of runs that have ended at last.
    private func sweepGroups() -> [Int] {
        let late = left.withLock { left in
            defer { left = [] }
            return left
        }
        var free: [Int] = []
        for (group, uid) in late {
            if group.removeAtOnce() {
                free.append(uid)
            } else {
                group.kill()
                left.withLock { $0.append((group, uid)) }
            }
        }
        return free
    }

    func shutdown() async {
        await warm.empty()
        cgroups?.remove()
    }
}
