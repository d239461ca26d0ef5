internal import Synchronization

/// The publishes that one caller made together: it is resumed once, when the last of them has ended.
final class CallBatch: Sendable {
    typealias Answer = Result<StreamAck, NATSError>

    private struct State {
        var answers: [Answer?]
        var left: Int
        var continuation: CheckedContinuation<[Answer], Never>?
    }

    private let state: Mutex<State>

    /// - Parameter count: not zero.
    init(_ count: Int, _ continuation: CheckedContinuation<[Answer], Never>) {
        state = Mutex(
            State(answers: Array(repeating: nil, count: count), left: count, continuation: continuation))
    }

    /// Reads it at once: of the thousands of messages that come, none is kept.
    func answer(_ message: CallLedger.Answer, at place: Int) {
        let answer = message.flatMap { message in
            Result { () throws(NATSError) in try JetStreamAnswer.acknowledgement(message) }
        }
        let ended = state.withLock { state -> (CheckedContinuation<[Answer], Never>, [Answer])? in
            guard state.answers[place] == nil else { return nil }
            state.answers[place] = answer
            state.left -= 1
            guard state.left == 0, let continuation = state.continuation else { return nil }
            state.continuation = nil
            return (continuation, state.answers.compactMap(\.self))
        }
        if let (continuation, answers) = ended { continuation.resume(returning: answers) }
    }
}
