internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import Storage

/// Notices that JetStream has lost messages, and derives them again from Postgres, which has lost nothing.
///
/// Three ways to notice: the bus finds a stream gone while running; a stream is not the one that was last seen (it was
/// wiped while nobody looked); a role's queue holds less work than Postgres has handed out. A result that was lost is
/// made up for by its work: the attempt is done again, and the fence lets one result count. A vote that was lost is
/// made up for by its session: it is asked for again, and the peer hub hands the missing seats' work out anew.
///
/// Work that nobody took before its deadline is removed, or it would fill the stream.
struct LostWork: Sendable {
    static let interval: Duration = .seconds(5)
    /// Work handed out more recently than this may still be on its way to JetStream.
    static let settlingTime: Duration = .seconds(45)
    /// Tasks in memory at once, with what they were given and what was made of it, and how large all that may be.
    static let pageMax = 100
    static let pageBytesMax = 16 << 20
    static let watched: [BusTopology.StreamName] = [.work, .results, .reviews]
    /// Between the first derivation of a task's work and the second, and the longest wait between two.
    static let derivingFirst: Duration = .seconds(10)
    static let derivingMax: Duration = .seconds(600)
    static let droppingInterval: Duration = .seconds(30)
    /// Messages removed in one look.
    static let droppedMax = 5000

    let bus: MessageBus
    let outbox: OutboxStore
    let records: ReconciliationStore
    let agents: AgentDirectory
    let decider: Decider
    let reviews: ReviewRequester
    let logger: Logger

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for await loss in await bus.lostStreams() {
                    await attempt("restore a lost stream") {
                        try await restore([loss.stream], after: "\(loss.stream.rawValue) was lost")
                    }
                }
            }
            group.addTask {
                var waits = GrowingWaits(first: Self.derivingFirst, longest: Self.derivingMax)
                while true {
                    await attempt("compare streams") { try await compareStreams() }
                    await attempt("compare queues") { try await compareQueues(&waits) }
                    try await Task.sleep(for: Self.interval)
                }
            }
            group.addTask {
                while true {
                    await attempt("remove overdue work") { try await dropOverdueWork() }
                    try await Task.sleep(for: Self.droppingInterval)
                }
            }
            try await group.waitForAll()
        }
    }

    private func attempt(_ what: String, _ body: () async throws -> Void) async {
        do { try await body() } catch {
            if !(error is CancellationError) {
                logger.warning("could not \(what)", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Derives the work of every running attempt again when a stream is not the one seen last.
    private func compareStreams() async throws {
        let seen = Dictionary(uniqueKeysWithValues: try await records.streams().map { ($0.name, $0) })
        var lost: [BusTopology.StreamName] = []
        var current: [SeenStream] = []
        for stream in Self.watched {
            let now = try await bus.incarnation(of: stream)
            let name = stream.rawValue
            if let before = seen[name], before.created != now.created || now.lastSequence < before.lastSequence {
                lost.append(stream)
            }
            current.append(SeenStream(name: name, created: now.created, lastSequence: now.lastSequence))
        }
        if !lost.isEmpty {
            let names = lost.map(\.rawValue).joined(separator: ", ")
            try await restore(lost, after: "\(names) is not the stream last seen")
        }
        for stream in current where seen[stream.name] != stream { try await records.saw(stream) }
    }

    /// Derives work again that Postgres has handed out and no queue, agent or result accounts for.
    private func compareQueues(_ waits: inout GrowingWaits) async throws {
        guard let results = try await bus.backlog(of: BusTopology.orchestratorResults),
            results.pending + results.ackPending == 0
        else { return }
        let stored = try await bus.workHeld()
        var missing: Set<TaskID> = []
        for (role, count) in try await records.runningCounts(age: Self.settlingTime).sorted(by: { $0.key < $1.key }) {
            // A role that never had an agent has no consumer: its work lies in the stream all the same.
            let held = try await bus.consumerState(role).map { $0.pending + $0.ackPending } ?? stored[role] ?? 0
            if count <= held { continue }
            let derived = try await deriveMissing(of: role, &waits, missing: &missing)
            guard derived > 0 else { continue }
            logger.warning(
                "derived lost work again",
                metadata: ["role": "\(role)", "count": "\(derived)", "held": "\(held)"]
            )
        }
        waits.keep(missing)
    }

    /// Answers how many of the missing it was time for.
    private func deriveMissing(
        of role: AgentRole, _ waits: inout GrowingWaits, missing: inout Set<TaskID>
    ) async throws -> Int {
        let leases = agents.leases()
        var derived = 0
        var last: TaskID?
        while true {
            let page = try await page(of: role, age: Self.settlingTime, after: last)
            guard let end = page.last else { return derived }
            last = end.task.id
            let lost = page.filter { !leases.contains($0.task.id) }
            missing.formUnion(lost.map(\.task.id))
            let now = ContinuousClock.now
            let due = lost.filter { waits.isDue($0.task.id, at: now) }
            try await republish(due)
            for queued in due { waits.done(queued.task.id, at: now) }
            derived += due.count
        }
    }

    private func page(of role: AgentRole?, age: Duration, after last: TaskID?) async throws -> [QueuedTask] {
        try await records.running(
            role: role, age: age, after: last, limit: Self.pageMax, bytesMax: Self.pageBytesMax)
    }

    private func dropOverdueWork() async throws {
        let count = try await bus.dropOverdueWork(now: decider.clock.now, limit: Self.droppedMax)
        if count > 0 {
            logger.info("removed work that nobody took before its deadline", metadata: ["count": "\(count)"])
        }
    }

    /// Reviews have messages in two streams: their work lies with all other work.
    private func restore(_ lost: [BusTopology.StreamName], after reason: String) async throws {
        if lost != [.reviews] { try await deriveAgain(after: reason) }
        if lost.contains(.work) || lost.contains(.reviews) { try await askForReviewsAgain(after: reason) }
    }

    private func deriveAgain(after reason: String) async throws {
        var count = 0
        var last: TaskID?
        while true {
            let running = try await page(of: nil, age: .zero, after: last)
            guard let end = running.last else { break }
            last = end.task.id
            try await republish(running)
            count += running.count
        }
        logger.warning(
            "derived the work of all running attempts again", metadata: ["reason": "\(reason)", "count": "\(count)"]
        )
    }

    private func askForReviewsAgain(after reason: String) async throws {
        let count = try await reviews.askForAll()
        guard count > 0 else { return }
        logger.warning(
            "asked for all undecided reviews again", metadata: ["reason": "\(reason)", "count": "\(count)"])
    }

    /// Under new message ids, since the duplicate window may still know the lost ones. The relay publishes them, as
    /// much at a time as it may hold.
    private func republish(_ running: [QueuedTask]) async throws {
        if running.isEmpty { return }
        let now = decider.clock.now
        let derivation = Int(now.timeIntervalSince1970)
        _ = try await decider.workflows.find(running.map(\.task))
        let prompts = try await decider.prompts.handed(to: running.map(\.task))
        let messages = running.compactMap { queued -> OutboxMessage? in
            guard let context = decider.context(queued.task, now: now),
                let item = TaskMachine.workItem(
                    of: queued.task, input: queued.input,
                    prompt: PromptVersion(of: queued.task).flatMap { prompts[$0] }, previous: queued.draft,
                    workflow: context.workflow
                )
            else { return nil }
            return OutboxMessage(item, traceparent: queued.task.trace, derivation: derivation)
        }
        if !messages.isEmpty { try await outbox.refill(from: messages) }
    }
}
