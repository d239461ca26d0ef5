internal import Glibc

/// A pipe that ends another thread's `poll`.
@safe package final class PollWakeUp: Sendable {
    /// Readable after `signal()`.
    package let descriptor: Int32
    private let writer: Int32

    package init() {
        var ends: [Int32] = [-1, -1]
        precondition(unsafe pipe(&ends) == 0, "The operating system has no file descriptors left.")
        for end in ends {
            let isSet = fcntl(end, F_SETFL, O_NONBLOCK) == 0 && fcntl(end, F_SETFD, FD_CLOEXEC) == 0
            precondition(isSet, "A pipe of this process cannot be configured.")
        }
        descriptor = ends[0]
        writer = ends[1]
    }

    deinit {
        close(descriptor)
        close(writer)
    }

    /// A full pipe is as good as a written one.
    package func signal() {
        var byte: UInt8 = 1
        _ = unsafe write(writer, &byte, 1)
    }

    /// Blocks until signalled, which it takes back, or until the instant has come.
    package func wait(until end: ContinuousClock.Instant) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        if unsafe poll(&entry, 1, (end - .now).pollMilliseconds) > 0 { drain() }
    }

    /// Takes the signals back, so that the next one is noticed.
    package func drain() {
        unsafe withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while unsafe read(descriptor, buffer.baseAddress, buffer.count) == buffer.count {}
        }
    }
}
