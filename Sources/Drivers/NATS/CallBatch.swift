internal import Synchronization

/// The calls that one caller made together: it is resumed once, when the last of them has ended.
final class CallBatch: Sendable {
    private struct State {
        var answers: [CallLedger.Answer?]
        var left: Int
        var continuation: CheckedContinuation<[CallLedger.Answer], Never>?
    }

    private let state: Mutex<State>

    /// - Parameter count: not zero.
    init(_ count: Int, _ continuation: CheckedContinuation<[CallLedger.Answer], Never>) {
        state = Mutex(
            State(answers: Array(repeating: nil, count: count), left: count, continuation: continuation))
    }

    func answer(_ answer: CallLedger.Answer, at place: Int) {
        let ended = state.withLock { state -> (CheckedContinuation<[CallLedger.Answer], Never>, [CallLedger.Answer])? in
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
