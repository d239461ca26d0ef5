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

    /// Letters that were looked at: what becomes of each, should the bus take those that are sent.
    struct Prepared: Sendable {
        let letters: [LetterInHand]
        fileprivate(set) var fates: [LetterFate] = []
        fileprivate(set) var messages: [StreamMessage] = []
        /// Which letter each message is.
        fileprivate(set) var places: [Int] = []

        fileprivate init(_ letters: [LetterInHand]) {
            self.letters = letters
            fates.reserveCapacity(letters.count)
            messages.reserveCapacity(letters.count)
            places.reserveCapacity(letters.count)
        }
    }

    /// Decides which of them can still do good, and makes their messages.
    ///
    /// - Parameter payload: sent instead of what was filed.
    func prepare(_ letters: [LetterInHand], payload: [UInt8]? = nil) async throws -> Prepared {
        let tasks = try await store.tasks(Set(letters.compactMap(\.task)))
        var prepared = Prepared(letters)
        for (place, letter) in letters.enumerated() {
            let headers = ReplayRules.Headers(of: letter.id, stored: letter.headers)
            if let refusal = Self.refusal(letter, headers, payload, Self.fact(letter, tasks)) {
                prepared.fates.append(LetterFate(of: letter, refusal))
                continue
            }
            let message = StreamMessage(
                subject: letter.subject, headers: headers.own, payload: payload ?? letter.payload,
                messageID: ReplayRules.messageID(of: letter.id, replayCount: letter.replayCount)
            )
            prepared.fates.append(LetterFate(of: letter, .replayed, messageID: message.messageID))
            prepared.messages.append(message)
            prepared.places.append(place)
        }
        return prepared
    }

    /// Sends them all at once, as many in flight as the connection allows.
    ///
    /// - Returns: what became of each, in their order.
    /// - Throws: when the bus is away; what was sent by then is sent again under the same ids.
    func send(_ prepared: Prepared) async throws -> [LetterFate] {
        var fates = prepared.fates
        for (index, result) in await bus.publishRaw(prepared.messages).enumerated() {
            guard case .failure(let error) = result else { continue }
            guard Self.isForEver(error) else { throw error }
            let place = prepared.places[index]
            let letter = prepared.letters[place]
            let traceparent = prepared.messages[index].headers[MessageHeader.traceparent]
            logger.warning(
                "a dead letter cannot be sent again",
                metadata: [
                    "id": "\(letter.id)", "error": "\(error)", "trace_id": "\(TraceContext.id(of: traceparent))",
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
