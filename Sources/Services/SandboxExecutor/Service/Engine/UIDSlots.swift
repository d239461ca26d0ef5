internal import Synchronization

/// The uids that sandboxes have on the host: one each, so that none can touch what another one's is.
final class UIDSlots: Sendable {
    private let base: Int
    private let free: Mutex<[Int]>

    init(base: Int, count: Int) {
        self.base = base
        free = Mutex(Array((0..<count).reversed()))
    }

    /// Nil when all are taken.
    func take() -> Int? { free.withLock { $0.popLast() }.map { base + $0 } }

    func giveBack(_ uid: Int) { free.withLock { $0.insert(uid - base, at: 0) } }

    var freeCount: Int { free.withLock { $0.count } }
}
