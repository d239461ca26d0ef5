internal import Contracts
internal import Logging
internal import MessageBus
internal import Storage

/// Publishes what no fast path got done: every second, whatever has waited in the outbox for longer than one.
///
/// A message that the bus does not take now stays for the next time, and holds up none behind it. One that it will
/// never take is dropped, and its task escalated.
struct OutboxRelay: Sendable {
    static let interval: Duration = .seconds(1)
    static let age: Duration = .seconds(1)
    /// Messages in memory at once, and how large all of them may be.
    static let pageMax = 256
    static let pageBytesMax = 16 << 20

    let outbox: OutboxStore
    let publisher: EffectPublisher
    let buried: BuriedMessages
    let logger: Logger

    /// Sweeps until cancelled.
    func run() async throws {
        while true {
            do { try await sweep() } catch let error as CancellationError {
                throw error
            } catch {
                logger.warning("a sweep of the outbox failed", metadata: ["error": "\(error)"])
            }
            try await Task.sleep(for: Self.interval)
        }
    }

    /// Goes through the outbox once, page by page.
    private func sweep() async throws {
        var last: WaitingMessage?
        var (found, published) = (0, 0)
        // Without a bus there is nothing to do but wait.
        while publisher.isConnected {
            try Task.checkCancellation()
            let page = try await outbox.overdue(
                age: Self.age, after: last, limit: Self.pageMax, bytesMax: Self.pageBytesMax)
            if page.isEmpty { break }
            last = page.last
            let outcome = await publisher.publishTogether(page.map(\.message))
            try await outbox.forget(outcome.published)
            for refused in outcome.refused { try await dropIfPossible(refused) }
            found += page.count
            published += outcome.published.count
        }
        guard found > 0 else { return }
        logger.info(
            "relayed messages from the outbox", metadata: ["published": "\(published)", "found": "\(found)"])
    }

    /// What cannot be dropped now stays for the next time, and holds up none behind it.
    private func dropIfPossible(_ refused: (message: OutboxMessage, error: BusError)) async throws {
        do { try await drop([refused]) } catch {
            try Task.checkCancellation()
            logger.warning(
                "a message that the bus never takes could not be dropped; it is tried again",
                metadata: ["id": "\(refused.message.messageID)", "error": "\(error)"])
        }
    }

    /// Takes messages out of the outbox that would stay there for ever, once their tasks do not wait for them any more.
    private func drop(_ refused: [(message: OutboxMessage, error: BusError)]) async throws {
        if refused.isEmpty { return }
        let later = try await buried.escalate(unpublished: refused)
        let dropped = refused.filter { !later.contains($0.message.task) }
        for (message, error) in dropped {
            logger.error(
                "dropped a message that the bus never takes",
                metadata: [
                    "id": "\(message.messageID)", "error": "\(error)",
                    "trace_id": "\(TraceContext.id(of: message.traceparent))",
                ])
        }
        try await outbox.forget(dropped.map { $0.message.messageID })
    }
}
