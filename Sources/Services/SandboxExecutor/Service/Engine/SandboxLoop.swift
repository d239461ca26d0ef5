internal import Contracts
internal import Processes
internal import SandboxExecutorCore

/// What a sandbox's thread does: moves bytes, watches the clock, ends what must end, and reports when nothing is left.
struct SandboxLoop: Sendable {
    /// Output is told at most this often.
    static let tellEvery: Duration = .milliseconds(25)
    /// From the request to stop to the kill that asks nobody.
    static let stopGrace: Duration = .milliseconds(500)
    /// The same where files are still to be brought back.
    static let artifactsGrace: Duration = .seconds(2)
    /// From the program's own end to that of all it left behind.
    static let endGrace: Duration = .seconds(5)
    /// After a kill, for the kernel to be done with it.
    static let killGrace: Duration = .seconds(5)
    /// For a sandbox to be built, which takes milliseconds.
    static let startMax: Duration = .seconds(10)

    private let child: ChildProcess
    private let group: CgroupRun?
    private let wake: Descriptor
    private let wantsArtifacts: Bool
    private let onReady: @Sendable () -> Void
    private var pipes: SandboxPipes
    private var facts: RunFacts
    private var archive: ArtifactArchive
    private var assignment: Sandbox.Assignment?
    private var buffer = [UInt8](repeating: 0, count: 65_536)

    private var assignedAt: ContinuousClock.Instant?
    private var exitedAt: ContinuousClock.Instant?
    private var startBy: ContinuousClock.Instant
    private var stopAt: ContinuousClock.Instant?
    private var killAt: ContinuousClock.Instant?
    private var giveUpAt: ContinuousClock.Instant?
    private var tellAt: ContinuousClock.Instant?
    private var cpuBefore = 0

    init(
        _ recipe: Sandbox.Recipe, wake: Descriptor, assignment: Sandbox.Assignment?,
        onReady: @escaping @Sendable () -> Void
    ) throws(ProcessError) {
        self.wake = wake
        self.onReady = onReady
        group = recipe.group
        wantsArtifacts = !recipe.spec.artifacts.isEmpty
        archive = ArtifactArchive(countMax: recipe.spec.artifactsCount, bytesMax: recipe.spec.artifactsBytes)
        facts = RunFacts(report: LauncherReport(), cpuSecondsMax: recipe.spec.sizes.cpuSeconds)
        (child, pipes) = try SandboxPipes.launch(recipe)
        startBy = .now + Self.startMax
        if let assignment { begin(assignment) }
    }

    private mutating func begin(_ new: Sandbox.Assignment) {
        assignment = new
        pipes.stdinLeft = new.stdin[...]
        pipes.feedLeft = new.feed[...]
        let now = ContinuousClock.now
        assignedAt = now
        stopAt = now + new.wall
        cpuBefore = new.feed.isEmpty ? 0 : group?.counts().cpuMicroseconds ?? 0
        new.onEvents([new.transcript.start])
    }

    /// - Parameter onStarted: there is a program, and a step of it was started; called more than once.
    mutating func run(takeOrders: () -> Sandbox.Orders, onStarted: () -> Void) -> Sandbox.Ended {
        while !isOver {
            obey(takeOrders())
            keepTime(.now)
            // A warm sandbox has said so before it was assigned anything.
            if assignment != nil, !facts.report.started.isEmpty { onStarted() }
            guard !isOver else { break }
            let (interests, channels) = pipes.interests(isAssigned: assignment != nil)
            let ready = Poller.wait([.reading(wake)] + interests, atMost: nextDeadline.map { $0 - .now })
            if ready[0] { wake.lower() }
            for (channel, isReady) in zip(channels, ready.dropFirst()) where isReady { move(channel) }
        }
        return finish()
    }

    /// The launcher's last word was heard, or there is no use in waiting for it.
    private var isOver: Bool { (pipes.status == nil && pipes.areOutputsDone) || giveUpAt.map { $0 <= .now } == true }

    // MARK: Orders and time

    private mutating func obey(_ orders: Sandbox.Orders) {
        if let new = orders.assignment {
            // One that is dying begins nothing: whoever asked takes another.
            if exitedAt == nil, pipes.status != nil, !pipes.areOutputsDone { begin(new) } else { killAt = .now }
        }
        if let reason = orders.stop { stop(reason) }
        // The hang-up of its feed ends an unused interpreter; one that hangs is killed.
        if orders.isDiscarded, assignment == nil, killAt == nil {
            pipes.feed = nil
            killAt = .now + Self.stopGrace
        }
    }

    private mutating func stop(_ reason: StopReason) {
        guard facts.stop == nil, exitedAt == nil else { return }
        facts.stop = reason
        stopAt = nil
        child.terminate()
        killAt = .now + (wantsArtifacts ? Self.artifactsGrace : Self.stopGrace)
    }

    private mutating func keepTime(_ now: ContinuousClock.Instant) {
        if let at = stopAt, at <= now { stop(.timeout) }
        if facts.report.layers == nil, startBy <= now, killAt == nil { killAt = now }
        if let at = killAt, at <= now, giveUpAt == nil {
            group?.kill()
            child.kill()
            giveUpAt = now + Self.killGrace
        }
        if let at = tellAt, at <= now { tell() }
    }

    private var nextDeadline: ContinuousClock.Instant? {
        let start = facts.report.layers == nil && killAt == nil ? startBy : nil
        return [stopAt, giveUpAt == nil ? killAt : nil, giveUpAt, tellAt, start].compactMap(\.self).min()
    }

    // MARK: Bytes

    private mutating func move(_ channel: SandboxPipes.Channel) {
        switch channel {
        case .stdin: SandboxPipes.push(&pipes.stdin, &pipes.stdinLeft)
        case .feed: SandboxPipes.push(&pipes.feed, &pipes.feedLeft)
        case .status:
            pull(\.status) { $0.facts.report.feed($1) }
            if facts.report.lastExit != nil, exitedAt == nil {
                exitedAt = .now
                stopAt = nil
                killAt = killAt ?? .now + Self.endGrace
            }
            // Whoever holds the other pipes open without a launcher does not for long.
            if pipes.status == nil { killAt = killAt ?? .now + Self.endGrace }
        case .ready:
            if pull(\.ready, { _, _ in }) { onReady() }
            pipes.ready = nil
        case .artifacts: pull(\.artifacts) { $0.archive.feed($1) }
        case .stdout: pull(\.stdout) { $0.take($1, from: .stdout) }
        case .stderr: pull(\.stderr) { $0.take($1, from: .stderr) }
        }
    }

    /// Reads once; a pipe that has ended is closed. True when something came.
    @discardableResult
    private mutating func pull(
        _ path: WritableKeyPath<SandboxPipes, Descriptor?>, _ use: (inout SandboxLoop, ArraySlice<UInt8>) -> Void
    ) -> Bool {
        guard let pipe = pipes[keyPath: path] else { return false }
        switch pipe.read(into: &buffer) {
        case .moved(let count):
            use(&self, buffer[..<count])
            return true
        case .wouldBlock: return false
        case .ended:
            pipe.close()
            pipes[keyPath: path] = nil
            return false
        }
    }

    private mutating func take(_ bytes: ArraySlice<UInt8>, from stream: SandboxEvent.Stream) {
        guard assignment != nil else { return }
        assignment?.transcript.append(stream, bytes)
        if let most = assignment?.outputBytesHard, assignment?.transcript.bytesTotal ?? 0 > most { stop(.outputLimit) }
        if tellAt == nil, assignment?.transcript.hasUntold == true { tellAt = .now + Self.tellEvery }
    }

    private mutating func tell() {
        tellAt = nil
        guard let events = assignment?.transcript.tell(), !events.isEmpty else { return }
        assignment?.onEvents(events)
    }

    // MARK: The end

    private mutating func finish() -> Sandbox.Ended {
        let end = exitedAt ?? .now
        tell()
        // Hanging up is the last of the ways to end it, for whoever is left.
        pipes.closeAll()
        let interests = [Poller.Interest.reading(child.ended)]
        if !Poller.wait(interests, atMost: Self.killGrace)[0] {
            child.kill()
            _ = Poller.wait(interests, atMost: Self.killGrace)
        }
        child.wait()
        if let counts = group?.counts() {
            facts.cpuMicroseconds = counts.cpuMicroseconds.map { max(0, $0 - cpuBefore) }
            facts.memoryPeakBytes = counts.memoryPeakBytes
            facts.memoryKills = counts.memoryKills
            facts.processRefusals = counts.processRefusals
        }
        let isRemoved = group?.remove() ?? true
        return Sandbox.Ended(
            facts: facts, transcript: assignment?.transcript,
            artifacts: wantsArtifacts ? archive.entries : nil, wall: assignedAt.map { end - $0 } ?? .zero,
            isLeaky: !isRemoved
        )
    }
}
