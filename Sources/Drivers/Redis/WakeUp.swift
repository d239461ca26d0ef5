internal import Glibc

/// A pair of sockets that makes a thread in `poll` look up.
final class WakeUp: Sendable {
    /// Becomes readable when signalled.
    let descriptor: Int32
    private let signalling: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let code = unsafe socketpair(AF_UNIX, kind, 0, &ends)
        precondition(code == 0, "The operating system refused a socket pair (\(errno)); raise the limit of open files.")
        descriptor = ends[0]
        signalling = ends[1]
    }

    deinit {
        close(descriptor)
        close(signalling)
    }

    func signal() {
        var byte: UInt8 = 1
        // A full one is signalled already, and nothing else can fail on a pair whose both ends we hold.
        _ = unsafe write(signalling, &byte, 1)
    }

    /// Blocks until signalled (the signal is cleared) or until the instant has come.
    func wait(until: ContinuousClock.Instant) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        if unsafe poll(&entry, 1, Socket.milliseconds(until: until)) > 0 { clear() }
    }

    /// Takes the signals back, so that the next one is noticed.
    func clear() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while unsafe read(descriptor, &bytes, bytes.count) == bytes.count {}
    }
}
