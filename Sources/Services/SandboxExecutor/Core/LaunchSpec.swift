/// What the launcher is asked for: its command line as data.
package struct LaunchSpec: Sendable, Equatable {
    package struct Mount: Sendable, Equatable {
        package let source: String
        package let target: String

        package init(_ source: String, _ target: String) {
            self.source = source
            self.target = target
        }
    }

    /// The descriptors by the numbers they have in the launcher.
    package enum Descriptor {
        package static let status: Int32 = 3
        package static let artifacts: Int32 = 4
        package static let feed: Int32 = 5
        package static let ready: Int32 = 6
        package static let network: Int32 = 7
        /// The first file's; the others follow.
        package static let data: Int32 = 10
    }

    package var slotUID: Int
    package var seccomp: String
    package var cgroupV2: String?
    package var cgroupV1: [String] = []
    package var mounts: [Mount] = []
    package var links: [Mount] = []
    /// Paths of the files, in the order of their descriptors.
    package var data: [String] = []
    package var environment: [(name: String, value: String)] = []
    package var sizes = Sizes()
    package var compile: [String] = []
    package var run: [String]
    /// The request's own words behind `run`, passed as they are.
    package var runArguments: [String] = []
    package var artifacts: [String] = []
    package var artifactsCount = 32
    package var artifactsBytes = 8 << 20
    package var isWarm = false
    /// It is given its slot's network namespace; else it makes one.
    package var entersNetwork = false
    /// An empty folder of the slot's, in the tier without namespaces.
    package var restricted: String?

    package struct Sizes: Sendable, Equatable {
        package var boxBytes = 64 << 20
        package var inodes = 4096
        package var shmBytes = 16 << 20
        package var cpuSeconds = 11
        package var openFiles = 256
        package var fileBytes = 64 << 20
        /// Processes of the slot's uid; nil where a cgroup counts them.
        package var processes: Int?
        /// Of each process; nil where a cgroup bounds them together.
        package var addressSpace: Int?

        package init() {}
    }

    package init(slotUID: Int, seccomp: String, run: [String]) {
        self.slotUID = slotUID
        self.seccomp = seccomp
        self.run = run
    }

    package var arguments: [String] {
        var words = ["--status-fd", "\(Descriptor.status)", "--slot-uid", "\(slotUID)", "--seccomp", seccomp]
        if let restricted { words += ["--restricted", restricted] }
        if let cgroupV2 { words += ["--cgroup-v2", cgroupV2] }
        for group in cgroupV1 { words += ["--cgroup-v1", group] }
        if cgroupV2 == nil, cgroupV1.isEmpty { words.append("--no-cgroup") }
        if entersNetwork { words += ["--network-fd", "\(Descriptor.network)"] }
        for mount in mounts { words += ["--ro", mount.source, mount.target] }
        for link in links { words += ["--link", link.source, link.target] }
        for (index, path) in data.enumerated() { words += ["--data", "\(Int(Descriptor.data) + index)", path] }
        for (name, value) in environment { words += ["--env", "\(name)=\(value)"] }
        words += sizes.arguments
        if !artifacts.isEmpty {
            words += ["--artifacts-fd", "\(Descriptor.artifacts)", "--artifacts-count", "\(artifactsCount)"]
            words += ["--artifacts-bytes", "\(artifactsBytes)"]
            for path in artifacts { words += ["--artifact", path] }
        }
        if isWarm { words += ["--feed-fd", "\(Descriptor.feed)", "--ready-fd", "\(Descriptor.ready)"] }
        if !compile.isEmpty { words += ["--compile-words", "\(compile.count)"] }
        let root = restricted ?? ""
        return words + ["--"] + Self.filled(compile, root: root) + Self.filled(run, root: root) + runArguments
    }

    /// To have a folder of that tier emptied which a run left, as its uid, instead of running anything.
    package static func emptying(_ folder: String, slotUID: Int) -> [String] {
        ["--status-fd", "\(Descriptor.status)", "--slot-uid", "\(slotUID)", "--empty", folder, "--"]
    }

    /// A language's own words with the places filled in; never a request's, which may mean what they say.
    ///
    /// - Parameter root: what they lie below; empty where there are namespaces.
    static func filled(_ words: [String], root: String = "") -> [String] {
        words.map { word in
            ["code", "box", "tmp"].reduce(word) { replace("{\($1)}", in: $0, with: "\(root)/\($1)") }
        }
    }

    private static func replace(_ mark: String, in text: String, with value: String) -> String {
        var parts: [Substring] = []
        var rest = text[...]
        while let range = rest.firstRange(of: mark) {
            parts += [rest[..<range.lowerBound], value[...]]
            rest = rest[range.upperBound...]
        }
        return (parts + [rest]).joined()
    }

    package static func == (left: LaunchSpec, right: LaunchSpec) -> Bool { left.arguments == right.arguments }
}

extension LaunchSpec.Sizes {
    fileprivate var arguments: [String] {
        var words = ["--box-bytes", "\(boxBytes)", "--box-inodes", "\(inodes)"]
        words += ["--tmp-bytes", "\(boxBytes)", "--tmp-inodes", "\(inodes)", "--shm-bytes", "\(shmBytes)"]
        words += ["--cpu-seconds", "\(cpuSeconds)", "--nofile", "\(openFiles)", "--fsize", "\(fileBytes)"]
        if let processes { words += ["--nproc", "\(processes)"] }
        if let addressSpace { words += ["--address-space", "\(addressSpace)"] }
        return words
    }
}
