import Contracts
import SandboxExecutorCore
import Testing

@Suite struct `Tiers` {
    static func findings(_ namespaces: String?, _ cgroups: String?, _ restricted: String?, outer: Bool = false)
        -> TierChoice.Findings
    {
        var findings = TierChoice.Findings()
        (findings.namespaces, findings.cgroups, findings.restricted) = (namespaces, cgroups, restricted)
        findings.isInsideOuterWall = outer
        return findings
    }

    @Test func `the best that the host allows is chosen`() {
        #expect(
            TierChoice.choose(.automatic, minimum: .namespaces, Self.findings(nil, nil, nil))
                == .serve(.namespaces, inner: .namespaces))
        #expect(
            TierChoice.choose(.automatic, minimum: .restricted, Self.findings("no", nil, nil))
                == .serve(.restricted, inner: .restricted))
        #expect(
            TierChoice.choose(.automatic, minimum: .namespaces, Self.findings("no", nil, nil, outer: true))
                == .serve(.gvisor, inner: .restricted))
    }

    @Test(arguments: [
        (TierChoice.Wish.automatic, SandboxTier.namespaces, findings("clone failed", nil, nil)),
        (.automatic, .namespaces, findings(nil, "read-only", nil)),
        (.namespaces, .restricted, findings("no", nil, nil)),
        (.restricted, .namespaces, findings(nil, nil, nil)), (.gvisor, .namespaces, findings(nil, nil, nil)),
        (.automatic, .restricted, findings("no", "no", "Landlock is too old")),
        (.automatic, .gvisor, findings(nil, nil, nil)),
    ])
    func `below the minimum nothing is served, and never less than was configured`(
        wish: TierChoice.Wish, minimum: SandboxTier, findings: TierChoice.Findings
    ) {
        guard case .refuse(let reasons) = TierChoice.choose(wish, minimum: minimum, findings) else {
            Issue.record("It serves.")
            return
        }
        #expect(!reasons.isEmpty)
    }
}

@Suite struct `Layers` {
    @Test(
        arguments: [
            (7, 7, .namespaces, "refused", nil), (7, 7, .namespaces, "open", nil),
            (0, 0, .namespaces, "refused", nil),
            (4, 0, .namespaces, "refused", "the kernel has Landlock and it is not used"),
            (7, 7, .restricted, "refused", nil), (7, 7, .restricted, "open", "it may signal its init"),
            (7, 7, .restricted, nil, "it may signal its init"),
        ] as [(Int, Int, SandboxTier, String?, String?)])
    func `Landlock holds where it is used, and is missed where the kernel has it`(
        kernel: Int, used: Int, tier: SandboxTier, signals: String?, why: String?
    ) {
        #expect(LayerFinding.landlock(kernel: kernel, used: used, tier: tier, signals: signals) == why)
    }

    @Test(
        arguments: [
            (.namespaces, "lo", nil, true), (.namespaces, "lo eth0", "2", false), (.namespaces, "eth0", "2", false),
            (.namespaces, "", "2", false), (.namespaces, nil, "2", false), (.restricted, nil, "2", true),
            (.restricted, "lo eth0", "2", true), (.restricted, nil, "0", false), (.restricted, "lo", nil, false),
        ] as [(SandboxTier, String?, String?, Bool)])
    func `a network of its own has the loopback alone`(
        tier: SandboxTier, interfaces: String?, seccomp: String?, holds: Bool
    ) {
        let why = LayerFinding.network(tier: tier, interfaces: interfaces, seccomp: seccomp)
        #expect((why == nil) == holds)
    }
}

@Suite struct `Control groups` {
    static let hybrid = """
        30 24 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
        31 24 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
        32 24 0:28 / /sys/fs/cgroup/pids rw shared:9 - cgroup cgroup rw,pids
        33 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
        34 24 0:30 / /proc rw - proc proc rw
        """

    @Test func `a hybrid host bounds by version 1 and kills by version 2`() {
        let layout = CgroupLayout(
            mounts: Self.hybrid, own: "4:memory:/user/a\n3:pids:/\n2:cpu,cpuacct:/b\n0::/c\n",
            v2Controllers: "hugetlb\n")
        #expect(layout.version == .v1 && layout.v2 == "/sys/fs/cgroup/unified/c")
        #expect(layout.v1["memory"] == "/sys/fs/cgroup/memory/user/a" && layout.v1["pids"] == "/sys/fs/cgroup/pids")
        #expect(layout.v1["cpu"] == "/sys/fs/cgroup/cpu/b")
    }

    @Test func `a unified host bounds by version 2, also where a container's mount begins further down`() {
        let mounts = "40 24 0:29 /pods/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        let layout = CgroupLayout(mounts: mounts, own: "0::/pods/x\n", v2Controllers: "cpuset cpu io memory pids")
        #expect(layout.version == .v2 && layout.v2 == "/sys/fs/cgroup")
        let below = CgroupLayout(mounts: mounts, own: "0::/pods/x/svc\n", v2Controllers: "cpu memory pids")
        #expect(below.v2 == "/sys/fs/cgroup/svc")
    }

    @Test(arguments: [
        ("/", "0::/x/golden-sandbox.leaf", "/x"), ("/", "0::/golden-sandbox.leaf", ""), ("/", "0::/x", "/x"),
        ("/pods/x", "0::/pods/x/golden-sandbox.leaf", ""),
        ("/", "0::/x/golden-sandbox.leaf/a", "/x/golden-sandbox.leaf/a"),
        ("/", "0::/x/golden-executor", "/x/golden-executor"), ("/", "0::/x/golden-sandbox", "/x/golden-sandbox"),
    ])
    func `an executor that starts where one has been shares out the same group`(
        root: String, own: String, below: String
    ) {
        let mounts = "40 24 0:29 \(root) /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        let layout = CgroupLayout(mounts: mounts, own: "\(own)\n", v2Controllers: "cpu memory pids")
        #expect(layout.v2 == "/sys/fs/cgroup\(below)")
    }

    @Test func `a host without one of them is told what it lacks`() {
        let layout = CgroupLayout(
            mounts: Self.hybrid.replacing("pids", with: "freezer"), own: "0::/\n", v2Controllers: "")
        #expect(layout.version == nil && layout.lacking == ["pids"])
    }

    @Test func `limits become settings of either version`() {
        let limits = ProgramRules.limitsDefault
        let v2 = CgroupSetting.settings(limits, .v2).map { "\($0.file)=\($0.value)" }
        #expect(
            v2.contains("memory.max=268435456") && v2.contains("pids.max=65") && v2.contains("cpu.max=100000 100000"))
        let v1 = CgroupSetting.settings(limits, .v1).map { "\($0.controller ?? "")/\($0.file)=\($0.value)" }
        #expect(v1.contains("memory/memory.limit_in_bytes=268435456") && v1.contains("cpu/cpu.cfs_quota_us=100000"))
        #expect(CgroupSetting.unbounded(.v1).value == "-1" && CgroupSetting.unbounded(.v2).value == "max 100000")
        #expect(CgroupSetting.count("oom_kill", in: "oom 1\noom_kill 3\n") == 3)
        #expect(CgroupSetting.count("oom_kill", in: "oom_kill_disable 0\n") == 0)
    }
}

@Suite struct `The launcher's command line` {
    @Test func `it says everything, and that there is no group when there is none`() {
        var spec = LaunchSpec(
            slotUID: 61_000, seccomp: "/p/strict.bpf", run: ["/usr/bin/python3", "{code}/main.py", "a b"])
        spec.mounts = [.init("/usr", "/usr")]
        spec.links = [.init("usr/bin", "/bin")]
        spec.data = ["/code/main.py", "/box/d"]
        spec.environment = [("A", "b=c")]
        spec.compile = ["/usr/bin/cc", "{code}/main.c"]
        spec.artifacts = ["out"]
        #expect(!spec.arguments.contains("--network-fd"))
        spec.entersNetwork = true
        let line = spec.arguments.joined(separator: " ")
        #expect(
            line.hasPrefix(
                "--status-fd 3 --slot-uid 61000 --seccomp /p/strict.bpf --no-cgroup --network-fd 7 --ro /usr /usr")
        )
        #expect(line.contains("--ro /usr /usr --link usr/bin /bin --data"))
        #expect(line.contains("--data 10 /code/main.py --data 11 /box/d --env A=b=c"))
        #expect(line.contains("--artifacts-fd 4 --artifacts-count 32 --artifacts-bytes 8388608 --artifact out"))
        #expect(line.hasSuffix("--compile-words 2 -- /usr/bin/cc /code/main.c /usr/bin/python3 /code/main.py a b"))
    }

    @Test func `without namespaces the places are the slot's own`() {
        var spec = LaunchSpec(slotUID: 61_000, seccomp: "s", run: ["/bin/sh", "{code}/main.sh", "{tmp}{box}"])
        spec.restricted = "/tmp/r"
        spec.isWarm = true
        spec.cgroupV1 = ["/g/memory", "/g/pids"]
        #expect(spec.arguments.suffix(4) == ["--", "/bin/sh", "/tmp/r/code/main.sh", "/tmp/r/tmp/tmp/r/box"])
        #expect(spec.arguments.joined(separator: " ").contains("--cgroup-v1 /g/memory --cgroup-v1 /g/pids"))
        #expect(!spec.arguments.contains("--no-cgroup") && spec.arguments.contains("--feed-fd"))
    }

    @Test(arguments: ["", "/tmp/r"])
    func `places are filled in where the language names them, never in a request's arguments`(root: String) {
        var spec = LaunchSpec(slotUID: 61_000, seccomp: "s", run: ["/bin/sh", "{code}/main.sh"])
        if !root.isEmpty { spec.restricted = root }
        spec.compile = ["/usr/bin/cc", "{tmp}/x"]
        spec.runArguments = ["{code}", "{box}", "a{tmp}"]
        #expect(
            spec.arguments.suffix(8) == [
                "--", "/usr/bin/cc", "\(root)/tmp/x", "/bin/sh", "\(root)/code/main.sh", "{code}", "{box}", "a{tmp}",
            ])
    }

    @Test func `a folder that was left is emptied as its uid, and nothing is run`() {
        let line = LaunchSpec.emptying("/tmp/r", slotUID: 61_000).joined(separator: " ")
        #expect(line == "--status-fd 3 --slot-uid 61000 --empty /tmp/r --")
    }
}
