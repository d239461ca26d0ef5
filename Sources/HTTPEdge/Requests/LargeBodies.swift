internal import Synchronization

/// What the bodies that are being read hold of this process's memory, beyond the first bytes of each: bounded, so that
/// a few callers with many large ones cannot take it all. Small bodies are always read.
enum LargeBodies {
    /// Of one body these are free.
    static let freeBytes = 65_536
    static let bytesMax = 128 << 20

    private static let held = Atomic(0)

    /// What one body holds; gives it back at its end.
    struct Hold: ~Copyable {
        private var bytes = 0

        /// - Returns: false, and nothing more is held, when there is no room for a body of so many bytes.
        mutating func grow(to size: Int) -> Bool {
            let more = max(0, size - LargeBodies.freeBytes) - bytes
            guard more > 0 else { return true }
            let total = LargeBodies.held.wrappingAdd(more, ordering: .relaxed).newValue
            guard total <= LargeBodies.bytesMax else {
                LargeBodies.held.wrappingSubtract(more, ordering: .relaxed)
                return false
            }
            bytes += more
            return true
        }

        deinit { LargeBodies.held.wrappingSubtract(bytes, ordering: .relaxed) }
    }
}
