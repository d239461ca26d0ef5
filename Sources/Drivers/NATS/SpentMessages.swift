internal import CNATS
internal import Synchronization

/// The library's messages that are done with, given back to it many at a time.
///
/// It frees them on a thread of its own, and wakes that thread for every one that finds it asleep: given back singly,
/// each costs two switches between threads.
@safe final class SpentMessages: Sendable {
    private static let countMax = 512
    private static let bytesMax = 256 * 1024

    private struct State {
        var messages: [Handle] = []
        var bytes = 0

        mutating func takeAll() -> [Handle] {
            defer { self = State() }
            return messages
        }
    }

    private let state = Mutex(State())

    deinit { giveBack() }

    /// - Parameter bytes: how large it is.
    func add(_ message: Handle, bytes: Int) {
        let many = state.withLock { state -> [Handle] in
            state.messages.append(message)
            state.bytes += bytes
            return state.messages.count >= Self.countMax || state.bytes >= Self.bytesMax ? state.takeAll() : []
        }
        Self.destroy(many)
    }

    func giveBack() { Self.destroy(state.withLock { $0.takeAll() }) }

    private static func destroy(_ messages: [Handle]) {
        for message in messages { unsafe natsMsg_Destroy(message.pointer) }
    }
}
