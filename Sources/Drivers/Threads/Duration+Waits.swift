package import Glibc

/// A wait as the operating system takes it. One that is over counts as none.
extension Duration {
    /// Milliseconds for `poll`: rounded up, so that the time is over when it has passed; at most an hour.
    package var pollMilliseconds: Int32 {
        let parts = min(max(self, .zero), .seconds(3600)).components
        let perMillisecond: Int64 = 1_000_000_000_000_000
        return Int32(parts.seconds * 1000 + (parts.attoseconds + perMillisecond - 1) / perMillisecond)
    }

    /// When it ends, for `pthread_cond_timedwait` on the monotonic clock; at most a day from now.
    package var monotonicEnd: timespec {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        let parts = min(max(self, .zero), .seconds(86_400)).components
        let nanoseconds = now.tv_nsec + Int(parts.attoseconds / 1_000_000_000)
        let second = 1_000_000_000
        return timespec(tv_sec: now.tv_sec + Int(parts.seconds) + nanoseconds / second, tv_nsec: nanoseconds % second)
    }
}
