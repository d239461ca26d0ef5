internal import Processes
internal import SandboxExecutorCore

/// Our ends of a sandbox's pipes. One that has ended is nil.
struct SandboxPipes: Sendable {
    enum Channel: Sendable { case stdin, feed, stdout, stderr, status, artifacts, ready }

    var stdin: Descriptor?
    var feed: Descriptor?
    var stdout: Descriptor?
    var stderr: Descriptor?
    var status: Descriptor?
    var artifacts: Descriptor?
    var ready: Descriptor?
    var stdinLeft: ArraySlice<UInt8> = []
    var feedLeft: ArraySlice<UInt8> = []

    /// Starts the launcher with its ends of them.
    static func launch(_ recipe: Sandbox.Recipe) throws(ProcessError) -> (ChildProcess, SandboxPipes) {
        var pipes = SandboxPipes()
        var handed: [(ours: Descriptor, theirs: Int32)] = []
        func reading(_ theirs: Int32) throws(ProcessError) -> Descriptor {
            let (read, write) = try Descriptor.pipe()
            try read.setNonBlocking()
            handed.append((write, theirs))
            return read
        }
        func writing(_ theirs: Int32) throws(ProcessError) -> Descriptor {
            let (read, write) = try Descriptor.pipe()
            try write.setNonBlocking()
            handed.append((read, theirs))
            return write
        }
        pipes.stdin = try writing(0)
        pipes.stdout = try reading(1)
        pipes.stderr = try reading(2)
        pipes.status = try reading(LaunchSpec.Descriptor.status)
        if !recipe.spec.artifacts.isEmpty { pipes.artifacts = try reading(LaunchSpec.Descriptor.artifacts) }
        if recipe.spec.isWarm {
            pipes.feed = try writing(LaunchSpec.Descriptor.feed)
            pipes.ready = try reading(LaunchSpec.Descriptor.ready)
        }
        for (index, file) in recipe.files.enumerated() {
            handed.append((try Descriptor.memory(file), LaunchSpec.Descriptor.data + Int32(index)))
        }
        let lent = recipe.network.map { [(ours: $0, theirs: LaunchSpec.Descriptor.network)] } ?? []
        let child = try ChildProcess(recipe.launcher, arguments: recipe.spec.arguments, descriptors: handed + lent)
        // Our copies of its ends, or no pipe would ever end.
        for (ours, _) in handed { ours.close() }
        return (child, pipes)
    }

    var areOutputsDone: Bool { stdout == nil && stderr == nil && artifacts == nil }

    /// What to wait for. Input waits until there is a program for it; then it is written, and closed.
    func interests(isAssigned: Bool) -> ([Poller.Interest], [Channel]) {
        var interests: [Poller.Interest] = []
        var channels: [Channel] = []
        func add(_ interest: Poller.Interest, _ channel: Channel) {
            interests.append(interest)
            channels.append(channel)
        }
        if isAssigned {
            // The feed first: whoever reads it has no use for its input before.
            if let feed { add(.writing(feed), .feed) } else if let stdin { add(.writing(stdin), .stdin) }
        }
        for (pipe, channel) in [
            (status, Channel.status), (stdout, .stdout), (stderr, .stderr), (artifacts, .artifacts), (ready, .ready),
        ] {
            if let pipe { add(.reading(pipe), channel) }
        }
        return (interests, channels)
    }

    /// Writes once and closes the pipe behind the last byte, or when nobody reads it any more.
    static func push(_ pipe: inout Descriptor?, _ left: inout ArraySlice<UInt8>) {
        guard let open = pipe else { return }
        if !left.isEmpty {
            switch open.write(left.prefix(65_536)) {
            case .moved(let count): left = left.dropFirst(count)
            case .wouldBlock: return
            case .ended: left = []
            }
        }
        if left.isEmpty {
            open.close()
            pipe = nil
        }
    }

    mutating func closeAll() {
        for pipe in [stdin, feed, stdout, stderr, status, artifacts, ready] { pipe?.close() }
        self = SandboxPipes()
    }
}
