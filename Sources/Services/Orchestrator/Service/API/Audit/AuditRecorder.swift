internal import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import HTTPEdge
internal import Logging
internal import ServiceLifecycle
internal import Storage
internal import Synchronization

/// Writes down what the edge saw.
///
/// A call is answered only when its entry is committed: submissions and budget calls commit theirs with what they
/// change, and all others here. Refusals, which change nothing, are committed a moment later, in batches. When Postgres
/// is away entries wait here, up to `queuedMax`; what cannot be kept is counted, and at the end of the process written
/// to the log instead.
final class AuditRecorder: Service {
    static let queuedMax = 65_536
    static let batchMax = 256
    /// Between attempts while Postgres is away.
    static let retryEvery: Duration = .seconds(1)
    /// Attempts to write the rest when the process ends.
    static let lastAttempts = 3

    private struct State {
        var queue: [AuditEntry] = []
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
        let lost = state.withLock { state in
            let room = max(0, Self.queuedMax - state.queue.count)
            state.queue.append(contentsOf: entries.prefix(room))
            return max(0, entries.count - room)
        }
        if lost > 0 { lostEntries.add(lost) }
        wake.yield()
    }

    func run() async throws {
        await withGracefulShutdownHandler {
            await withTaskCancellationHandler {
                await withDiscardingTaskGroup { group in
                    group.addTask { await self.closeDigests() }
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

    private func writeAll() async {
        var isAway = false
        while true {
            let batch = take()
            if batch.isEmpty { return }
            do {
                try await store.append(batch)
                if isAway { logger.info("the audit log is being written again") }
                isAway = false
            } catch {
                putBack(batch)
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
        for attempt in 1...Self.lastAttempts {
            while true {
                let batch = take()
                if batch.isEmpty { return }
                do { try await store.append(batch) } catch {
                    putBack(batch)
                    if attempt == Self.lastAttempts {
                        logger.error("audit entries were not kept", metadata: Self.why(error))
                    }
                    break
                }
            }
        }
        for entry in state.withLock({ $0.queue }) {
            lostEntries.add()
            logger.error("an audit entry that could not be kept", metadata: ["entry": "\(AuditView.line(entry).text)"])
        }
    }

    private func take() -> [AuditEntry] {
        state.withLock { state in
            let batch = Array(state.queue.prefix(Self.batchMax))
            state.queue.removeFirst(batch.count)
            return batch
        }
    }

    private func putBack(_ batch: [AuditEntry]) { state.withLock { $0.queue.insert(contentsOf: batch, at: 0) } }

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
