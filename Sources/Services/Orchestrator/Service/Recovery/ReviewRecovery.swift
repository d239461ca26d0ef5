internal import Contracts
internal import FoundationEssentials
internal import Logging
internal import MessageBus
internal import OrchestratorCore
internal import Storage

/// Comes back to reviews that a message was lost of: runs on the leading replica.
///
/// A session nobody opened is asked for again; a decision nobody heard is taken from where the peer hub stored it; an
/// open session that its task stopped waiting for is closed again. Whatever else is lost, the deadline ends the wait.
struct ReviewRecovery: Sendable {
    static let interval: Duration = .seconds(1)
    /// A decision younger than this is on its way.
    static let hearingTime: Duration = .seconds(2)
    /// A request younger than this is on its way.
    static let openingTime: Duration = .seconds(5)
    /// A request older than this is not among those that a hub is busy with, or was taken by one that died since.
    static let stalledTime: Duration = .seconds(45)
    static let closingInterval: Duration = .seconds(5)
    static let batchMax = 200
    /// The longest wait between two requests for one session, which begin `openingTime` apart.
    static let askingMax: Duration = .seconds(60)

    let bus: MessageBus
    let reviews: TaskReviewStore
    let requester: ReviewRequester
    let applier: DecisionApplier
    let logger: Logger

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var waits = GrowingWaits(first: Self.openingTime, longest: Self.askingMax)
                while true {
                    await attempt("take decisions nobody heard") { try await hear() }
                    await attempt("ask for reviews again") { try await askAgain(&waits) }
                    try await Task.sleep(for: Self.interval)
                }
            }
            group.addTask {
                while true {
                    await attempt("close reviews of ended tasks") { try await close() }
                    try await Task.sleep(for: Self.closingInterval)
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

    private func hear() async throws {
        let unheard = try await reviews.unheard(age: Self.hearingTime, limit: Self.batchMax)
        guard !unheard.isEmpty else { return }
        try await applier.apply(unheard)
        logger.info("took decisions nobody had heard", metadata: ["count": "\(unheard.count)"])
    }

    /// Asks for sessions that are still unopened.
    private func askAgain(_ waits: inout GrowingWaits) async throws {
        var unopened = try await reviews.unopened(age: Self.openingTime, limit: Self.batchMax)
        guard !unopened.isEmpty else { return waits.keep([]) }
        guard let requests = try await bus.backlog(of: BusTopology.hubRequests) else { return }
        // What waits in the stream, or in a hub's hands, is not lost; but behind others' requests one may be missing.
        if requests.pending + requests.ackPending > 0 {
            unopened = try await reviews.unopened(age: Self.stalledTime, limit: Self.batchMax)
        }
        let now = ContinuousClock.now
        let due = unopened.filter { waits.isDue($0, at: now) }
        let outcome = try await requester.ask(due, derivation: Int(Date().timeIntervalSince1970))
        if outcome.count > 0 { logger.warning("asked for reviews again", metadata: ["count": "\(outcome.count)"]) }
        if !outcome.unasked.isEmpty {
            let count = outcome.unasked.count
            logger.warning("could not ask for reviews again; it is tried again", metadata: ["count": "\(count)"])
        }
        waits.keep(Set(unopened))
        // Those that could not be asked for are due at once.
        for task in Set(due).subtracting(outcome.unasked) { waits.done(task, at: now) }
    }

    private func close() async throws {
        let abandoned = try await reviews.abandoned(age: Self.openingTime, limit: Self.batchMax)
        for closing in abandoned {
            _ = try await bus.publish(
                closing, on: .reviewCancel(closing.session),
                id: "\(closing.session).cancel.r\(Int(Date().timeIntervalSince1970))", tenant: closing.tenant
            )
        }
        if !abandoned.isEmpty {
            logger.info("closed reviews of ended tasks", metadata: ["count": "\(abandoned.count)"])
        }
    }
}
