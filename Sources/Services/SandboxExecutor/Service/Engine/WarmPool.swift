internal import Contracts
internal import Logging
internal import Processes
internal import SandboxExecutorCore
internal import Synchronization

/// Interpreters that stand in their sandboxes and wait for a program: each is used once, or thrown away when it has
/// waited too long.
final class WarmPool: Sendable {
    /// How often it is looked after when nothing gives reason to.
    static let interval: Duration = .seconds(1)

    private struct Shelf {
        var idle: [(sandbox: Sandbox, since: ContinuousClock.Instant)] = []
        var starting: [Sandbox] = []
        var failures = 0
    }

    private let isOn: Bool
    private let logger: Logger
    private let shelves = Mutex<[String: Shelf]>([:])
    private let isClosed = Atomic<Bool>(false)
    private let nudges: AsyncStream<Void>
    private let nudge: AsyncStream<Void>.Continuation

    init(isOn: Bool, logger: Logger) {
        self.isOn = isOn
        self.logger = logger
        (nudges, nudge) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// The oldest that waits; nil when none does.
    func take(_ language: String) -> Sandbox? {
        let taken = shelves.withLock { shelves -> Sandbox? in
            while let first = shelves[language]?.idle.first {
                shelves[language]?.idle.removeFirst()
                if !first.sandbox.isEnded { return first.sandbox }
            }
            return nil
        }
        nudge.yield()
        return taken
    }

    var counts: [String: Int] { shelves.withLock { $0.mapValues(\.idle.count) } }

    /// Refills and recycles until cancelled.
    func run(_ engine: Engine) async throws {
        guard isOn else { return try await Task.sleep(for: .seconds(1 << 30)) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in self.nudges { self.lookAfter(engine) } }
            group.addTask {
                while true {
                    self.lookAfter(engine)
                    try await Task.sleep(for: Self.interval)
                }
            }
            try await group.waitForAll()
        }
    }

    private func lookAfter(_ engine: Engine) {
        let now = ContinuousClock.now
        for language in engine.files.languages.languages {
            guard let warm = language.warm, warm.size > 0, !isClosed.load(ordering: .relaxed) else { continue }
            let policy = WarmPolicy(size: warm.size)
            let (change, retired) = shelves.withLock { shelves in
                var shelf = shelves[language.id, default: Shelf()]
                shelf.idle.removeAll { $0.sandbox.isEnded }
                let dead = shelf.starting.filter(\.isEnded).count
                let ready = shelf.starting.filter { $0.isReady && !$0.isEnded }
                shelf.failures = ready.isEmpty ? shelf.failures + dead : 0
                shelf.starting.removeAll { $0.isReady || $0.isEnded }
                shelf.idle += ready.map { ($0, now) }
                let change = policy.change(
                    ages: shelf.idle.map { now - $0.since }, starting: shelf.starting.count, failures: shelf.failures,
                    freeSlots: engine.freeSlots)
                let retired = change.retiring.map { shelf.idle[$0].sandbox }
                for index in change.retiring.sorted().reversed() { shelf.idle.remove(at: index) }
                shelves[language.id] = shelf
                return (change, retired)
            }
            for sandbox in retired { sandbox.discard() }
            for _ in 0..<change.starting { start(language, engine) }
        }
    }

    private func start(_ language: Language, _ engine: Engine) {
        do {
            let nudge = nudge
            let sandbox = try engine.startWarm(language) { nudge.yield() }
            shelves.withLock { $0[language.id]?.starting.append(sandbox) }
        } catch {
            shelves.withLock { $0[language.id]?.failures += 1 }
            logger.warning(
                "an interpreter could not be kept warm", metadata: ["language": "\(language.id)", "error": "\(error)"])
        }
    }

    /// Ends them all and waits until nothing of them is left. None is started afterwards.
    func empty() async {
        isClosed.store(true, ordering: .relaxed)
        let all = shelves.withLock { shelves in
            defer { shelves = [:] }
            return shelves.values.flatMap { $0.idle.map(\.sandbox) + $0.starting }
        }
        for sandbox in all { sandbox.discard() }
        for sandbox in all { _ = await sandbox.ended() }
    }
}
