internal import Contracts
internal import DLQWorkerCore
internal import Logging
internal import MessageBus
internal import NATS
internal import Storage

/// Sends letters again where that can still do good, and says what became of each.
struct LetterSender: Sendable {
    let bus: MessageBus
    let store: DeadLetterStore
    let logger: Logger

    /// Sends them all at once, as many in flight as the connection allows.
    ///
    /// - Parameter payload: sent instead of what was filed.
    /// - Returns: what became of each, in their order.
    /// - Throws: when the bus or Postgres is away; what was sent by then is sent again under the same ids.
    func send(_ letters: [LetterInHand], payload: [UInt8]? = nil) async throws -> [LetterFate] {
        let tasks = try await store.tasks(Set(letters.compactMap(\.task)))
        var fates: [LetterFate] = []
        var messages: [StreamMessage] = []
        var places: [Int] = []
        fates.reserveCapacity(letters.count)
        messages.reserveCapacity(letters.count)
        for (place, letter) in letters.enumerated() {
            let headers = ReplayRules.Headers(of: letter.id, stored: letter.headers)
            if let refusal = Self.refusal(letter, headers, payload, Self.fact(letter, tasks)) {
                fates.append(LetterFate(of: letter, refusal))
                continue
            }
            let message = StreamMessage(
                subject: letter.subject, headers: headers.own, payload: payload ?? letter.payload,
                messageID: ReplayRules.messageID(of: letter.id, replayCount: letter.replayCount)
            )
            fates.append(LetterFate(of: letter, .replayed, messageID: message.messageID))
            messages.append(message)
            places.append(place)
        }
        for ((place, message), result) in zip(zip(places, messages), await bus.publishRaw(messages)) {
            guard case .failure(let error) = result else { continue }
            guard Self.isForEver(error) else { throw error }
            let letter = letters[place]
            logger.warning(
                "a dead letter cannot be sent again",
                metadata: [
                    "id": "\(letter.id)", "error": "\(error)",
                    "trace_id": "\(TraceContext.id(of: message.headers[MessageHeader.traceparent]))",
                ])
            fates[place] = LetterFate(of: letter, .notDeliverable)
        }
        return fates
    }

    /// Nil: send it.
    private static func refusal(
        _ letter: LetterInHand, _ headers: ReplayRules.Headers, _ payload: [UInt8]?, _ fact: ReplayRules.TaskFact
    ) -> LetterOutcome? {
        if payload == nil, headers.isCut { return .notDeliverable }
        return ReplayRules.refusal(
            fact, of: ReplayRules.attempt(subject: letter.subject, payload: payload ?? letter.payload))
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
