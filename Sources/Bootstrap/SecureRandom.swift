internal import Glibc
internal import Synchronization

/// The operating system's random numbers, fetched many at a time: one system call serves a dozen tasks, where
/// `SystemRandomNumberGenerator` makes one for each number. None is handed out twice.
package struct SecureRandom: RandomNumberGenerator, Sendable {
    private struct Store {
        var words: [UInt64] = []

        mutating func refill() {
            words = [UInt64](unsafeUninitializedCapacity: SecureRandom.wordsFetched) { buffer, count in
                let bytes = UnsafeMutableRawBufferPointer(buffer)
                precondition(
                    getentropy(bytes.baseAddress, bytes.count) == 0,
                    "The operating system has no random numbers (\(errno))."
                )
                count = buffer.count
            }
        }
    }

    /// 256 bytes, the most that `getentropy` gives.
    private static let wordsFetched = 32

    private static let store = Mutex(Store())

    package init() {}

    package mutating func next() -> UInt64 {
        Self.store.withLock { store in
            if store.words.isEmpty { store.refill() }
            return store.words.removeLast()
        }
    }
}
