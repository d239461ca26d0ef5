internal import Contracts
internal import DLQWorkerCore
internal import Logging
internal import MessageBus
internal import Storage

/// Sends letters again where that can still do good, and says what became of each.
struct LetterSender: Sendable {
    /// Sent and not yet stored by the bus.
    static let inFlightMax = 512

    let bus: MessageBus
    let store: DeadLetterStore
    let logger: Logger

    /// - Parameter payload: sent instead of what was filed.
    /// - Throws: when the bus or Postgres is away; what was sent by then is sent again under the same ids.
    func send(_ letters: [LetterInHand], payload: [UInt8]? = nil) async throws -> [LetterFate] {
        let tasks = try await store.tasks(Set(letters.compactMap(\.task)))
        return try await withThrowingTaskGroup(of: (Int, LetterFate).self) { group in
            var fates = [LetterFate?](repeating: nil, count: letters.count)
            var running = 0
            for (index, letter) in letters.enumerated() {
                if running == Self.inFlightMax, let (index, fate) = try await group.next() {
                    fates[index] = fate
                    running -= 1
                }
                if payload == nil, ReplayRules.isCut(stored: letter.headers) {
                    fates[index] = LetterFate(id: letter.id, outcome: .notDeliverable, messageID: nil)
                    continue
                }
                let fact = Self.fact(letter, tasks)
                group.addTask { (index, try await send(letter, payload ?? letter.payload, fact)) }
                running += 1
            }
            for try await (index, fate) in group { fates[index] = fate }
            return fates.compactMap(\.self)
        }
    }

    private func send(
        _ letter: LetterInHand, _ payload: [UInt8], _ fact: ReplayRules.TaskFact
    ) async throws -> LetterFate {
        let attempt = ReplayRules.attempt(subject: letter.subject, payload: payload)
        if let refusal = ReplayRules.refusal(fact, of: attempt) {
            return LetterFate(id: letter.id, outcome: refusal, messageID: nil)
        }
        let id = ReplayRules.messageID(of: letter.id, replayCount: letter.replayCount)
        let headers = ReplayRules.headers(of: letter.id, stored: letter.headers)
        do {
            _ = try await bus.publishRaw(
                subject: Subject(stored: letter.subject), payload: payload, id: id,
                headers: headers
            )
        } catch {
            guard Self.isForEver(error) else { throw error }
            logger.warning(
                "a dead letter cannot be sent again",
                metadata: [
                    "id": "\(letter.id)", "error": "\(error)",
                    "trace_id": "\(TraceContext.id(of: headers[MessageHeader.traceparent]))",
                ])
            return LetterFate(id: letter.id, outcome: .notDeliverable, messageID: nil)
        }
        return LetterFate(id: letter.id, outcome: .replayed, messageID: id)
    }

    /// Whether sending the same letter again cannot succeed, whatever becomes of the bus.
    private static func isForEver(_ error: BusError) -> Bool {
        switch error.code {
        case .topologyMissing, .messageTooLarge, .invalid, .refused: true
        case .unavailable, .outcomeUnknown, .topologyConflict, .streamFull, .forbidden, .closed, .cancelled: false
        }
    }

    private static func fact(_ letter: LetterInHand, _ tasks: [TaskID: LetterTask]) -> ReplayRules.TaskFact {
        guard let id = letter.task else { return .none }
        guard let task = tasks[id] else { return .unknown }
        return .known(task.state, attempt: task.attempt, leaseToken: task.leaseToken)
    }
}
