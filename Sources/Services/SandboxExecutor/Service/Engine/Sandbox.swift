internal import Contracts
internal import DriverThreads
internal import Processes
internal import SandboxExecutorCore
internal import Synchronization

/// One sandbox: a launcher process and a thread that waits for it, from its start to the moment nothing of it is left.
final class Sandbox: Sendable {
    /// What a run adds to a sandbox that stands: at its start when it is cold, later when it was warm.
    struct Assignment: Sendable {
        var transcript: Transcript
        let stdin: [UInt8]
        /// For a warm interpreter's feed pipe.
        var feed: [UInt8] = []
        let wall: Duration
        let outputBytesHard: Int
        /// Hears what is written, in order, from the sandbox's thread; must not block.
        let onEvents: @Sendable ([SandboxEvent]) -> Void
    }

    /// What a sandbox is made of.
    struct Recipe: Sendable {
        let launcher: String
        let spec: LaunchSpec
        /// Contents of the files, in the order of the spec's paths.
        let files: [[UInt8]]
        let group: CgroupRun?
        /// Its slot's network namespace, for a spec that enters one.
        let network: Descriptor?
    }

    /// All that is known when nothing is left of it.
    struct Ended: Sendable {
        var facts: RunFacts
        /// As it was assigned, with what was written; nil when nothing ever was.
        var transcript: Transcript?
        /// Nil when none was asked for, or the archive is not whole.
        var artifacts: [ArtifactArchive.Entry]?
        /// From the assignment to the end of the program.
        var wall: Duration
        /// What could not be removed, which no slot may be used beside.
        var isLeaky = false
    }

    struct Orders: Sendable {
        var assignment: Assignment?
        var stop: StopReason?
        var isDiscarded = false
    }

    private struct State {
        var orders = Orders()
        var ended: Ended?
        var waiters: [CheckedContinuation<Ended, Never>] = []
    }

    private let state: Mutex<State>
    private let wake: Descriptor
    private let readiness: Flag
    private let start = Flag()

    /// Starts the launcher and its thread.
    ///
    /// - Parameters:
    ///   - assignment: nil for a warm one.
    ///   - onReady: a warm interpreter waits for its program now.
    ///   - onEnd: nothing is left of its processes, unless it is leaky; blocks while it removes what else there is.
    init(
        _ recipe: Recipe, assignment: Assignment?, onReady: @escaping @Sendable () -> Void,
        onEnd: @escaping @Sendable (inout Ended) -> Void
    ) throws(ProcessError) {
        wake = try Descriptor.wakeUp()
        state = Mutex(State())
        let flag = Flag()
        readiness = flag
        let loop = try SandboxLoop(recipe, wake: wake, assignment: assignment) {
            flag.isRaised.store(true, ordering: .releasing)
            onReady()
        }
        startThread(name: "sandbox") {
            var loop = loop
            var ended = loop.run(
                takeOrders: { self.takeOrders() },
                onStarted: { self.start.isRaised.store(true, ordering: .releasing) })
            onEnd(&ended)
            self.finish(ended)
        }
    }

    /// A warm interpreter has said that it waits.
    var isReady: Bool { readiness.isRaised.load(ordering: .acquiring) }

    /// It has a program, and the launcher has said that a step of it was started.
    var hasStarted: Bool { start.isRaised.load(ordering: .acquiring) }

    private final class Flag: Sendable {
        let isRaised = Atomic<Bool>(false)
    }

    /// Gives a warm one its program. Once. Unless it is dying, when it ends without a transcript.
    func assign(_ assignment: Assignment) { order { $0.assignment = assignment } }

    /// Ends the run; the first reason counts.
    func stop(_ reason: StopReason) { order { if $0.stop == nil { $0.stop = reason } } }

    /// Ends a warm one that nobody needs.
    func discard() { order { $0.isDiscarded = true } }

    func ended() async -> Ended {
        await withCheckedContinuation { continuation in
            let ended = state.withLock { state in
                if state.ended == nil { state.waiters.append(continuation) }
                return state.ended
            }
            if let ended { continuation.resume(returning: ended) }
        }
    }

    var isEnded: Bool { state.withLock { $0.ended != nil } }

    private func order(_ change: (inout Orders) -> Void) {
        state.withLock { change(&$0.orders) }
        wake.raise()
    }

    private func takeOrders() -> Orders {
        state.withLock { state in
            defer { state.orders.assignment = nil }
            return state.orders
        }
    }

    private func finish(_ ended: Ended) {
        let waiters = state.withLock { state in
            state.ended = ended
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: ended) }
    }
}
