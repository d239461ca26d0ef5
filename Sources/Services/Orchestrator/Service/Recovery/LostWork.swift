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
struct LostWork: Sendable {
    static let interval: Duration = .seconds(5)
    /// Work handed out more recently than this may still be on its way to JetStream.
    static let settlingTime: Duration = .seconds(45)
    static let batchMax = 500
    static let watched: [BusTopology.StreamName] = [.work, .results, .reviews]

    let bus: MessageBus
    let outbox: OutboxStore
    let records: ReconciliationStore
    let agents: AgentDirectory
    let decider: Decider
    let publisher: EffectPublisher
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
                while true {
                    await attempt("compare streams") { try await compareStreams() }
                    await attempt("compare queues") { try await compareQueues() }
                    try await Task.sleep(for: Self.interval)
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
    private func compareQueues() async throws {
        guard let results = try await bus.backlog(of: BusTopology.orchestratorResults),
            results.pending + results.ackPending == 0
        else { return }
        let roles = Set(try await records.inFlight().keys.map(\.role))
        for role in roles {
            let held = try await bus.consumerState(role).map { $0.pending + $0.ackPending } ?? 0
            let running = try await records.running(
                role: role, age: Self.settlingTime, after: nil, limit: Self.batchMax
            )
            guard running.count > held else { continue }
            let leases = agents.leases()
            let missing = running.filter { !leases.contains($0.task.id) }
            if missing.isEmpty { continue }
            logger.warning(
                "derived lost work again",
                metadata: ["role": "\(role)", "count": "\(missing.count)", "held": "\(held)"]
            )
            try await republish(missing)
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
            let running = try await records.running(role: nil, age: .zero, after: last, limit: Self.batchMax)
            try await republish(running)
            count += running.count
            last = running.last?.task.id
            if running.count < Self.batchMax { break }
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

    /// Under new message ids, since the duplicate window may still know the lost ones.
    private func republish(_ running: [QueuedTask]) async throws {
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
        guard !messages.isEmpty else { return }
        try await outbox.refill(from: messages)
        publisher.publish(messages)
    }
}
