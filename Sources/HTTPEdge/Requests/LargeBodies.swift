internal import Synchronization

/// What the bodies that are being read hold of this process's memory, beyond the first bytes of each: bounded, and
/// shared between callers. Who holds no less than is free gets no more, so that a few connections of one caller that
/// send many large bodies slowly keep nobody else's out. Small bodies are always read.
enum LargeBodies {
    /// Of one body these are free.
    static let freeBytes = 65_536
    static let bytesMax = 128 << 20

    /// The tenant whose request is being answered.
    @TaskLocal static var caller = ""

    private static let held = Mutex<[String: Int]>([:])

    /// What one body holds; gives it back at its end.
    struct Hold: ~Copyable {
        private let caller = LargeBodies.caller
        private var bytes = 0

        /// - Returns: false, and nothing more is held, when there is no room for a body of so many bytes.
        mutating func grow(to size: Int) -> Bool {
            let more = max(0, size - LargeBodies.freeBytes) - bytes
            guard more > 0 else { return true }
            let isRoom = LargeBodies.held.withLock { [caller] held in
                let free = LargeBodies.bytesMax - held.values.reduce(0, +) - more
                let own = held[caller, default: 0] + more
                guard own <= free else { return false }
                held[caller] = own
                return true
            }
            if isRoom { bytes += more }
            return isRoom
        }

        deinit {
            guard bytes > 0 else { return }
            LargeBodies.held.withLock { [caller, bytes] held in
                let rest = held[caller, default: 0] - bytes
                held[caller] = rest > 0 ? rest : nil
            }
        }
    }
}
