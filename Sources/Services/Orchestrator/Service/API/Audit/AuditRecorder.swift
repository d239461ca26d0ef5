internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import Logging
internal import Postgres
internal import ServiceLifecycle
internal import Storage
internal import Synchronization

/// Writes down what the edge saw.
///
/// A call is answered only when its entry is committed: submissions and budget calls commit theirs with what they
/// change, and all others here. Refusals, which change nothing, are committed a moment later, in batches. When Postgres
/// is away, or somebody holds a chain locked, entries wait here, as many as there is room for in an `AuditQueue`; what
/// cannot be kept is counted, and at the end of the process written to the log instead. What waits here may be
/// overtaken by what is written with its own call.
final class AuditRecorder: Service {
    static let batchMax = 256
    /// Between attempts while Postgres is away, or a chain is locked.
    static let retryEvery: Duration = .seconds(1)
    /// Attempts to write the rest when the process ends.
    static let lastAttempts = 3
    /// How long what belongs to locked chains is tried then.
    static let lastPatience: Duration = .seconds(10)

    private struct State {
        var queue = AuditQueue()
        var denials = DenialDigest()
        var isClosing = false
    }

    private let store: AuditStore
    private let logger: Logger
    private let lostEntries: Counter
    private let state = Mutex(State())
    private let wakes: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    init(store: AuditStore, registry: MetricsRegistry, logger: Logger) {
        self.store = store
        self.logger = logger
        lostEntries = registry.counter("audit_entries_lost_total", "Audit entries that could not be kept.")[]
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// For `EdgeConfiguration.audit`.
    @Sendable func record(_ event: AuditEvent) async {
        let entry = AuditEntry(event)
        // Neither a denial nor bad input has changed anything.
        if entry.outcome == .denied || (400..<500).contains(event.status) {
            // Strangers are counted as limits count them: by what they cannot change at will.
            let actor = event.knownActor ?? event.limitedAddress
            let admitted = state.withLock { $0.denials.admit(entry, of: actor) }
            return enqueue(admitted)
        }
        do {
            try await store.append(entry)
        } catch {
            // Whether it was kept may be unknown; twice in the log is better than not at all.
            enqueue([entry])
        }
    }

    /// What there is no room for is lost.
    func enqueue(_ entries: [AuditEntry]) {
        guard !entries.isEmpty else { return }
        let lostCount = state.withLock { $0.queue.add(entries) }
        if lostCount > 0 { lostEntries.add(lostCount) }
        wake.yield()
    }

    func run() async throws {
        await withGracefulShutdownHandler {
            await withTaskCancellationHandler {
                await withDiscardingTaskGroup { group in
                    group.addTask { await self.closeDigests() }
                    group.addTask { await self.comeBack() }
                    for await _ in self.wakes { await self.writeAll() }
                    group.cancelAll()
                }
            } onCancel: {
                close()
            }
        } onGracefulShutdown: {
            self.close()
        }
        enqueue(state.withLock { $0.denials.close(before: .distantFuture) })
        await writeRest()
    }

    private func close() {
        state.withLock { $0.isClosing = true }
        wake.finish()
    }

    /// Repeated refusals are told of when their minute is over.
    private func closeDigests() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: DenialDigest.window) } catch { return }
            enqueue(state.withLock { $0.denials.close(before: Date() - DenialDigest.windowSeconds) })
        }
    }

    /// Locked chains are tried again.
    private func comeBack() async {
        while !Task.isCancelled {
            do { try await Task.sleep(for: Self.retryEvery) } catch { return }
            if state.withLock({ $0.queue.hasApart }) { wake.yield() }
        }
    }

    private func writeAll() async {
        var isAway = false
        while true {
            let batch = state.withLock { $0.queue.take(Self.batchMax, dueBy: $0.isClosing ? nil : ContinuousClock.now) }
            if batch.isEmpty { return }
            do {
                try await write(batch)
                if isAway { logger.info("the audit log is being written again") }
                isAway = false
            } catch {
                if !isAway {
                    logger.warning("the audit log cannot be written; entries wait", metadata: Self.why(error))
                }
                isAway = true
                if state.withLock({ $0.isClosing }) { return }
                do { try await Task.sleep(for: Self.retryEvery) } catch { return }
            }
        }
    }

    private func writeRest() async {
        let end = ContinuousClock.now + Self.lastPatience
        var attempts = 0
        while attempts < Self.lastAttempts {
            // Locked chains come last, and are due at once: each try waits for the lock.
            let now = ContinuousClock.now
            let dueBy = now < end ? now + Self.retryEvery : nil
            let batch = state.withLock { state in
                let common = state.queue.take(Self.batchMax, dueBy: nil)
                return common.isEmpty ? state.queue.take(Self.batchMax, dueBy: dueBy) : common
            }
            if batch.isEmpty { break }
            do {
                try await write(batch)
            } catch {
                attempts += 1
                if attempts == Self.lastAttempts {
                    logger.error("audit entries were not kept", metadata: Self.why(error))
                }
            }
        }
        for entry in state.withLock({ $0.queue.all }) {
            lostEntries.add()
            logger.error("an audit entry that could not be kept", metadata: ["entry": "\(AuditView.line(entry).text)"])
        }
    }

    /// Commits a batch, but for what belongs to chains that somebody holds locked, or that take no entry as they are:
    /// that waits apart from then on.
    ///
    /// - Throws: when anything else could not be written; it waits again.
    private func write(_ batch: [AuditEntry]) async throws {
        do {
            do {
                try await store.append(batch)
            } catch let error as PostgresError where error.isLockTimeout {
                setApart(batch, of: try await store.appendUnlocked(batch), why: "is locked")
            }
        } catch let error where error.isFaultOfSomeRow {
            try await writeByChain(batch)
        } catch {
            state.withLock { $0.queue.putBack(batch) }
            throw error
        }
    }

    /// Commits each chain's entries by themselves.
    private func writeByChain(_ batch: [AuditEntry]) async throws {
        var failure: (any Error)?
        for (chain, entries) in Dictionary(grouping: batch, by: \.chain) {
            do {
                try await store.append(entries)
            } catch let error as PostgresError where error.isLockTimeout {
                setApart(entries, of: [chain], why: "is locked")
            } catch let error where error.isFaultOfSomeRow {
                // No waiting will change that: at the end it is not tried again.
                setApart(entries, of: [chain], why: "takes no entries: \(error)", after: Self.lastPatience * 2)
            } catch {
                state.withLock { $0.queue.putBack(entries) }
                failure = error
            }
        }
        if let failure { throw failure }
    }

    private func setApart(
        _ batch: [AuditEntry], of chains: Set<AuditChain>, why: String, after pause: Duration = AuditRecorder.retryEvery
    ) {
        let dueAt = ContinuousClock.now + pause
        let new = state.withLock { $0.queue.putBack(batch, lockedIn: chains, until: dueAt) }
        for chain in new {
            logger.warning("an audit chain \(why); its entries wait", metadata: ["chain": "\(chain)"])
        }
    }

    private static func why(_ error: any Error) -> Logger.Metadata { ["error": "\(error)"] }
}

extension AuditEvent {
    /// Nil for a stranger.
    fileprivate var knownActor: String? { principal?.subject ?? note?.actor }
}

extension AuditEntry {
    init(_ event: AuditEvent) {
        let tenant = event.principal?.tenant ?? event.note?.tenant
        let role = event.principal?.role ?? event.note?.role ?? .anonymous
        self.init(
            chain: tenant.map { .tenant($0) } ?? .installation, at: event.at,
            actor: event.knownActor ?? event.address, actorRole: role.rawValue,
            action: event.operation, resource: "\(event.method) \(event.path)", outcome: Self.outcome(event),
            reason: event.refusal.map { "\($0.code.rawValue): \($0.detail)" }, traceID: event.traceID,
            detail: JSONWriter.object { writer in
                writer.field("status", event.status)
                writer.field("request_id", event.requestID)
                writer.field("address", event.address)
                for fact in event.note?.facts ?? [] { writer.field(fact.name, fact.value) }
            }
        )
    }

    private static func outcome(_ event: AuditEvent) -> Outcome {
        switch event.status {
        case ..<400: .allowed
        case 401, 402, 403, 429: .denied
        default: .failed
        }
    }
}
