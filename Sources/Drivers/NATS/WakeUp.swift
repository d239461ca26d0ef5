internal import DriverThreads
internal import Glibc

/// A sticky wake-up call for one waiting thread: raised before the wait, it is not lost.
// @unchecked Sendable: `isRaised` is guarded by `lock`; the two C objects never move once allocated.
@safe final class WakeUp: @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var isRaised = false

    init() {
        unsafe lock = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        unsafe pthread_condattr_init(&attributes)
        // The wall clock may jump; a wait must not.
        unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        unsafe pthread_cond_init(condition, &attributes)
        unsafe pthread_condattr_destroy(&attributes)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(lock)
        unsafe condition.deallocate()
        unsafe lock.deallocate()
    }

    func raise() {
        unsafe pthread_mutex_lock(lock)
        let first = !isRaised
        isRaised = true
        unsafe pthread_mutex_unlock(lock)
        if first { unsafe pthread_cond_signal(condition) }
    }

    /// Blocks until raised or until the deadline, and lowers it again. True when it was raised.
    @discardableResult
    func wait(until deadline: ContinuousClock.Instant? = nil) -> Bool {
        let limit = deadline.map { ($0 - .now).monotonicEnd }
        unsafe pthread_mutex_lock(lock)
        defer { unsafe pthread_mutex_unlock(lock) }
        while !isRaised {
            if var limit {
                if unsafe pthread_cond_timedwait(condition, lock, &limit) == ETIMEDOUT { break }
            } else {
                unsafe pthread_cond_wait(condition, lock)
            }
        }
        defer { isRaised = false }
        return isRaised
    }
}

extension Duration {
    /// Whole milliseconds, at least 1: what the C library takes.
    var wholeMilliseconds: Int64 {
        let parts = components
        return max(1, parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000)
    }

    var wholeNanoseconds: Int64 {
        let parts = components
        return parts.seconds * 1_000_000_000 + parts.attoseconds / 1_000_000_000
    }
}
