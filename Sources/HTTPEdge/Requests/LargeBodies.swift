internal import Synchronization

/// What the bodies that are being read hold of this process's memory, beyond the first bytes of each: bounded, and
/// shared between callers by the rule of `FairShare`, so that a few connections of one caller that send many large
/// bodies slowly keep nobody else's out. Small bodies are always read.
enum LargeBodies {
    /// Of one body these are free.
    static let freeBytes = 65_536
    static let bytesMax = 128 << 20

    /// The tenant whose request is being answered.
    @TaskLocal static var caller = ""

    private static let shares = Mutex(FairShare<String>(of: bytesMax))

    /// What one body holds; gives it back at its end.
    struct Hold: ~Copyable {
        private let caller = LargeBodies.caller
        private var bytes = 0

        /// - Returns: false, and nothing more is held, when there is no room for a body of so many bytes.
        mutating func grow(to size: Int) -> Bool {
            let more = max(0, size - LargeBodies.freeBytes) - bytes
            guard more > 0 else { return true }
            let isRoom = LargeBodies.shares.withLock { [caller] shares in shares.take(more, for: caller) }
            if isRoom { bytes += more }
            return isRoom
        }

        deinit {
            guard bytes > 0 else { return }
            LargeBodies.shares.withLock { [caller, bytes] shares in shares.giveBack(bytes, of: caller) }
        }
    }
}
