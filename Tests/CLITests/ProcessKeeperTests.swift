import Foundation
import Synchronization
import TestSupport
import Testing

@testable import golden

@Suite(.timeLimit(.minutes(5))) struct `Keeping a process` {
    /// Runs a keeper for as long as `body` takes, then stops it.
    private func keeping(
        _ script: String, probe: Probe = .alive(.zero), stopWithin: Duration = .seconds(5),
        readyWithin: Duration = .seconds(10),
        _ body: (ProcessKeeper, Changes) async throws -> Void
    ) async throws {
        let folder = try Scratch.folder("keeper")
        var spec = ProcessSpec(
            name: "x", executable: "/bin/sh", arguments: ["-c", script], environment: ["PATH": "/usr/bin:/bin"],
            probe: probe
        )
        spec.stopWithin = stopWithin
        spec.readyWithin = readyWithin
        let changes = Changes()
        let keeper = ProcessKeeper(spec, log: folder.log(of: "x"), isRoot: false) { await changes.add($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await keeper.run() }
            do {
                try await body(keeper, changes)
            } catch {
                await keeper.stop()
                throw error
            }
            await keeper.stop()
            try await group.waitForAll()
        }
    }

    @Test func `a process that dies is started again under a new pid`() async throws {
        try await keeping("exec sleep 1000") { keeper, changes in
            try await keeper.waitUntilReady()
            let ready = try await changes.next { $0.state == .ready }
            let first = try #require(ready.identity)
            #expect(first.isRunning)
            first.send(SIGKILL)
            let again = try await changes.next { $0.state == .ready && $0.restarts == 1 }
            #expect(again.identity?.isRunning == true && !first.isRunning)
            #expect(again.restarts == 1 && again.lastExit == "signaled(9)")
        }
    }

    @Test func `stopping asks first and the process is gone afterwards`() async throws {
        let seen = Mutex<ProcessIdentity?>(nil)
        try await keeping("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done") { keeper, changes in
            try await keeper.waitUntilReady()
            let ready = try await changes.next { $0.state == .ready }
            seen.withLock { $0 = ready.identity }
            let isUp = try await eventually { LogFiles.tail(ready.log).contains("up") }
            try #require(isUp)
            await keeper.stop()
            #expect(LogFiles.tail(ready.log).contains("bye"))
            #expect(await changes.last?.state == .stopped)
        }
        #expect(seen.withLock { $0?.isRunning } == false)
    }

    @Test func `a process that will not end is killed with its group after the deadline`() async throws {
        let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo child $$; while :; do sleep 1; done' & wait"
        try await keeping(script, stopWithin: .milliseconds(200)) { keeper, changes in
            try await keeper.waitUntilReady()
            let ready = try await changes.next { $0.state == .ready }
            let isUp = try await eventually { LogFiles.tail(ready.log).contains("child") }
            try #require(isUp)
            let words = LogFiles.tail(ready.log).split(separator: " ")
            let child = try #require(words.last.flatMap { Int32($0) }.flatMap(ProcessIdentity.init(runningAs:)))
            await keeper.stop()
            #expect(ready.identity?.isRunning == false)
            let isGone = try await eventually { !child.isRunning }
            #expect(isGone)
        }
    }

    @Test func `one that ends before it is ready is reported with the end of its log`() async throws {
        try await keeping("echo cannot bind >&2; exit 7", probe: .accepts(port: 1)) { keeper, _ in
            let error = await #expect(throws: CLIError.self) { try await keeper.waitUntilReady() }
            #expect(error?.message.contains("cannot bind") == true && error?.message.contains("exited(7)") == true)
        }
    }

    @Test func `one that is never ready is reported in time`() async throws {
        try await keeping("exec sleep 1000", probe: .accepts(port: 1), readyWithin: .milliseconds(200)) { keeper, _ in
            let error = await #expect(throws: CLIError.self) { try await keeper.waitUntilReady() }
            #expect(error?.message.contains("was not ready within") == true)
        }
    }

    @Test func `ends in quick succession show as a crash loop`() async throws {
        try await keeping("exit 3") { _, changes in
            let looping = try await changes.next { $0.state == .crashLooping }
            #expect(looping.restarts == ProcessKeeper.crashesMax)
        }
    }

    @Test func `a preparation that takes long is given up when the process is to stop, and nothing is started`()
        async throws
    {
        let folder = try Scratch.folder("keeper")
        var spec = ProcessSpec(
            name: "x", executable: "/bin/sh", arguments: ["-c", "echo started"], environment: ["PATH": "/usr/bin:/bin"],
            probe: .alive(.zero)
        )
        let begun = Latch()
        spec.prepare = { _ in
            begun.open()
            await Latch().wait()
        }
        let changes = Changes()
        let keeper = ProcessKeeper(spec, log: folder.log(of: "x"), isRoot: false) { await changes.add($0) }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await keeper.run() }
            await begun.wait()
            await keeper.stop()
        }
        #expect(LogFiles.tail(folder.log(of: "x")).isEmpty)
        #expect(await changes.last?.state == .stopped)
    }

    @Test func `a missing program is told`() async throws {
        try await keeping("exec /no/such/program", probe: .accepts(port: 1)) { keeper, _ in
            let error = await #expect(throws: CLIError.self) { try await keeper.waitUntilReady() }
            #expect(error?.message.contains("/no/such/program") == true)
        }
    }

    @Test func `only the very process is signalled, not another with its pid`() throws {
        let own = try #require(ProcessIdentity.current)
        #expect(own.isRunning && own.uptimeSeconds != nil)
        let other = ProcessIdentity(pid: own.pid, startTicks: own.startTicks + 1)
        #expect(!other.isRunning)
        #expect(!other.send(0) && !other.sendToGroup(0))
        #expect(ProcessIdentity(runningAs: 0) == nil && ProcessIdentity(runningAs: -1) == nil)
    }
}

/// What a keeper told, and a way to await it.
actor Changes {
    private(set) var all: [StackRecord.Process] = []
    private var waiting:
        [(match: @Sendable (StackRecord.Process) -> Bool, source: AsyncStream<StackRecord.Process>.Continuation)] = []

    var last: StackRecord.Process? { all.last }

    func add(_ change: StackRecord.Process) {
        all.append(change)
        for (match, source) in waiting where match(change) {
            source.yield(change)
            source.finish()
        }
        waiting.removeAll { $0.match(change) }
    }

    /// The first change, past or to come, that matches; throws when the task is cancelled.
    func next(_ match: @escaping @Sendable (StackRecord.Process) -> Bool) async throws -> StackRecord.Process {
        if let found = all.first(where: match) { return found }
        let (changes, source) = AsyncStream<StackRecord.Process>.makeStream()
        waiting.append((match, source))
        for await change in changes { return change }
        throw CancellationError()
    }
}
