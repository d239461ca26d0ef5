internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import Processes
internal import SandboxExecutorCore

/// Proves at start that each layer the tier promises holds, by running programs that try, and looking at what came of
/// it. The programs are ours and shown read-only, so their words may be trusted, as no other program's may.
struct SelfTest: Sendable {
    struct Report: Sendable {
        var holds: Set<Layer> = []
        /// What does not, and why.
        var fails: [Layer: String] = [:]
        var landlock = 0
        var cgroup = "none"

        mutating func check(_ layer: Layer, _ isHolding: Bool, _ why: @autoclosure () -> String) {
            note(layer, isHolding ? nil : why())
        }

        /// - Parameter why: it does not hold; nil when it does.
        mutating func note(_ layer: Layer, _ why: String?) {
            if let why { fails[layer] = why } else { holds.insert(layer) }
        }
    }

    private static let language = "shell"
    private static let tenant = TenantID(literal: "self-test")
    private static let disk = 2 << 20

    let engine: Engine

    /// Inside gVisor, what the tier holds that works there.
    private var promised: [Layer] { engine.files.tiers[engine.inner].layers }

    /// Why no sandbox can be built at all; nil when one can.
    func firstRun() async -> String? {
        let done = await run("exit 0")
        return done.outcome.status == .ok ? nil : done.outcome.failure?.message ?? "a program that does nothing failed"
    }

    func report() async throws -> Report {
        var report = Report()
        let promised = promised
        try await look(&report)
        if promised.contains(.memoryLimit) { await exhaustMemory(&report) }
        if promised.contains(.processLimit) { await exhaustProcesses(&report) }
        await outstay(&report)
        report.holds.formIntersection(promised)
        report.fails = report.fails.filter { promised.contains($0.key) }
        for layer in promised where !report.holds.contains(layer) && report.fails[layer] == nil {
            report.fails[layer] = "it was not seen to hold"
        }
        return report
    }

    private func run(_ script: String, _ change: (inout SandboxLimits) -> Void = { _ in }) async -> Engine.Done {
        var limits = SandboxLimits()
        limits.wallMilliseconds = 5000
        limits.diskBytes = Self.disk
        change(&limits)
        let program = SandboxProgram(language: Self.language, source: .code(script), limits: limits)
        do throws(ProgramRules.Refusal) {
            let plan = try engine.rules.plan(program, tenant: Self.tenant)
            let job = Engine.Job(
                execution: ExecutionID(UUID()), attempt: 1, plan: plan, onEvents: { _ in }, onStart: { _ in })
            return await engine.run(job)
        } catch {
            return Engine.Done(
                outcome: .failed("self_test", error.message), pieces: Pieces(), isEngineFailure: true)
        }
    }

    // MARK: Looking around

    private static let namespaces: [(name: String, layer: Layer)] = [
        ("user", .userNamespace), ("mnt", .mountNamespace), ("pid", .pidNamespace), ("net", .networkNamespace),
        ("ipc", .ipcNamespace), ("uts", .utsNamespace), ("cgroup", .cgroupNamespace),
    ]

    private func look(_ report: inout Report) async throws {
        // Something of the host's that anybody could read, and must not be there.
        let canary = "\(FileManager.default.temporaryDirectory.path)/golden-canary-\(UUID().uuidString)"
        try Data("canary".utf8).write(to: URL(filePath: canary))
        defer {
            do { try FileManager.default.removeItem(atPath: canary) } catch { report.fails[.hiddenHost] = "\(error)" }
        }
        let done = await run(Self.lookAround(canary))
        let words = Self.facts(done.outcome.stdout.head)
        guard done.outcome.status == .ok else {
            let what =
                done.outcome.failure?.message ?? "the program that looks around ended with \(done.outcome.status)"
            for layer in promised { report.fails[layer] = what }
            return
        }
        for (name, layer) in Self.namespaces {
            let (own, seen) = (KernelFiles.link("/proc/self/ns/\(name)") ?? "", words["ns_\(name)"] ?? "")
            report.check(layer, seen.hasPrefix("\(name):") && seen != own, "it runs in \(seen), as the executor does")
        }
        let layers = done.outcome.isolation
        report.landlock = layers?.landlock ?? 0
        report.cgroup = layers?.cgroup ?? "none"
        let none = "0000000000000000"
        // Without namespaces nobody may lower the bounding set; no-new-privileges keeps what is in it out of reach.
        for set in engine.inner == .restricted ? ["CapEff", "CapPrm"] : ["CapEff", "CapPrm", "CapBnd"] {
            report.check(.noCapabilities, words[set] == none, "\(set) is \(words[set] ?? "unknown")")
        }
        report.check(.noNewPrivileges, words["NoNewPrivs"] == "1", "NoNewPrivs is \(words["NoNewPrivs"] ?? "unknown")")
        report.check(.seccomp, words["Seccomp"] == "2", "Seccomp is \(words["Seccomp"] ?? "unknown")")
        let landlock = LayerFinding.landlock(
            kernel: KernelFiles.landlockVersion, used: report.landlock, tier: engine.inner, signals: words["signals"])
        report.note(.landlock, landlock)
        report.check(.slotUID, words["uid"] != "0", "it is root there")
        // `ls` has the folder itself open besides.
        report.check(.closedDescriptors, words["fds"] == "0 1 2 3", "open are \(words["fds"] ?? "unknown")")
        let stray = (words["variables"] ?? "?").split(separator: " ").filter { !Self.variables.contains(String($0)) }
        report.check(.cleanEnvironment, stray.isEmpty, "it sees \(stray.joined(separator: ", "))")
        report.check(.hiddenHost, words["canary"] == "hidden", "it sees files of the host")
        report.check(.readOnlyRoot, words["root"] == "kept", "it may write outside of its own folders")
        report.check(.diskLimit, words["disk"] == "full", "it may write more than its disk")
        let (interfaces, seccomp) = (words["interfaces"], words["Seccomp"])
        report.note(
            .network, LayerFinding.network(tier: engine.inner, interfaces: interfaces, seccomp: seccomp))
    }

    /// The shell adds two of its own.
    private static let variables: Set<String> = ["PATH", "HOME", "TMPDIR", "LANG", "PWD", "OLDPWD", "SHLVL", "_"]

    private static func lookAround(_ canary: String) -> String {
        """
        for n in user mnt pid net ipc uts cgroup; do echo "ns_$n=$(readlink /proc/self/ns/$n)"; done
        while read -r name value rest; do
            case $name in CapEff:|CapPrm:|CapBnd:|NoNewPrivs:|Seccomp:) echo "${name%:}=$value" ;; esac
        done </proc/self/status
        echo "uid=$(id -u)"
        if kill -0 $PPID 2>/dev/null; then echo signals=open; else echo signals=refused; fi
        echo fds=$(ls /proc/self/fd)
        echo variables=$(env | while IFS== read -r name value; do echo "$name"; done)
        if [ -e '\(canary)' ]; then echo canary=seen; else echo canary=hidden; fi
        root=kept
        for place in /usr/golden-probe /golden-probe /etc/golden-probe /code/golden-probe; do
            if (: >$place) 2>/dev/null; then root=written; fi
        done
        echo root=$root
        if dd if=/dev/zero of=/box/fill bs=65536 count=\(Self.disk / 65_536 + 16) 2>/dev/null
        then echo disk=open; else echo disk=full; fi
        if [ -r /proc/self/net/dev ]; then
            echo interfaces=$(while IFS=: read -r name rest; do
                case $name in *'|'*) ;; *) echo $name ;; esac
            done </proc/self/net/dev)
        fi
        exit 0
        """
    }

    private static func facts(_ bytes: [UInt8]) -> [String: String] {
        var facts: [String: String] = [:]
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let halves = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if halves.count == 2 { facts[String(halves[0])] = String(halves[1]) }
        }
        return facts
    }

    // MARK: Using up

    private func exhaustMemory(_ report: inout Report) async {
        let done = await run("x=0123456789abcdef; while :; do x=$x$x; done") { $0.memoryBytes = 32 << 20 }
        report.check(.memoryLimit, done.outcome.status == .memoryLimit, "using it up ended as \(done.outcome.status)")
    }

    private func exhaustProcesses(_ report: inout Report) async {
        let script = "i=0; while [ $i -lt 64 ]; do sleep 5 & i=$((i+1)); done; exit 0"
        let done = await run(script) { $0.processes = 8 }
        report.check(.processLimit, done.outcome.hitProcessLimit, "64 processes were had where 8 were allowed")
    }

    /// Neither a new session nor a deaf ear outlives the time limit, and nothing is left.
    private func outstay(_ report: inout Report) async {
        let script = """
            trap '' TERM HUP INT
            setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 9; done' &
            (setsid sleep 60 &)
            while :; do :; done
            """
        let done = await run(script) { $0.wallMilliseconds = 300 }
        report.check(
            .timeLimit, done.outcome.status == .timeout && done.outcome.usage.wallMicroseconds < 4_000_000,
            "outstaying it ended as \(done.outcome.status) after \(done.outcome.usage.wallMicroseconds / 1000) ms")
        report.check(.nothingLeft, !done.isLeaky, "processes were left behind")
    }
}
