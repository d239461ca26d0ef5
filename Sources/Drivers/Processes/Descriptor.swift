internal import CLinux
internal import Glibc
internal import Synchronization

/// An open file of this process, closed on exec and when nobody holds it any more. It is a class because a thread that
/// polls it and whoever ends that thread's work both hold it.
package final class Descriptor: Sendable {
    private let raw: Atomic<Int32>

    init(_ raw: Int32) {
        self.raw = Atomic(raw)
    }

    deinit { close() }

    /// The kernel's number; -1 once closed.
    var number: Int32 { raw.load(ordering: .relaxed) }

    /// Idempotent. No other thread may be using it.
    package func close() {
        let number = raw.exchange(-1, ordering: .relaxed)
        if number >= 0 { Glibc.close(number) }
    }

    /// What became of one attempt to move bytes.
    package enum Transfer: Sendable, Equatable {
        case moved(Int)
        case wouldBlock
        /// Nothing will come any more, or nobody takes any more.
        case ended
    }

    /// A pipe: what is written into one end comes out of the other.
    package static func pipe() throws(ProcessError) -> (read: Descriptor, write: Descriptor) {
        var ends: [Int32] = [-1, -1]
        guard unsafe linux_pipe(&ends) == 0 else { throw ProcessError(.pipe, "There is no pipe to be had.", errno) }
        return (Descriptor(ends[0]), Descriptor(ends[1]))
    }

    /// A file in memory that holds `bytes`.
    package static func memory(_ bytes: [UInt8]) throws(ProcessError) -> Descriptor {
        let file = Descriptor(unsafe linux_memory_file("golden"))
        guard file.number >= 0 else { throw ProcessError(.memoryFile, "There is no memory file to be had.", errno) }
        var rest = bytes[...]
        while !rest.isEmpty {
            guard case .moved(let count) = file.write(rest) else {
                throw ProcessError(.memoryFile, "A memory file cannot be written.", errno)
            }
            rest = rest.dropFirst(count)
        }
        return file
    }

    /// Something to wake a polling thread with: see `raise` and `lower`.
    package static func wakeUp() throws(ProcessError) -> Descriptor {
        let event = Descriptor(linux_event())
        guard event.number >= 0 else { throw ProcessError(.pipe, "There is no event to be had.", errno) }
        return event
    }

    /// A new, empty network namespace, which lives for as long as somebody holds it; nil where there is none to be had.
    package static func newNetwork() -> Descriptor? {
        let network = linux_new_network()
        return network < 0 ? nil : Descriptor(network)
    }

    package static func readOnly(_ path: String) throws(ProcessError) -> Descriptor {
        let file = Descriptor(unsafe open(path, O_RDONLY | O_CLOEXEC))
        guard file.number >= 0 else { throw ProcessError(.file, "\(path) cannot be opened.", errno) }
        return file
    }

    package func setNonBlocking() throws(ProcessError) {
        guard linux_set_nonblocking(number) == 0 else { throw ProcessError(.pipe, "A pipe cannot be set up.", errno) }
    }

    package func raise() {
        // A counter at its end is raised already.
        _ = write([1, 0, 0, 0, 0, 0, 0, 0])
    }

    package func lower() {
        var count = [UInt8](repeating: 0, count: 8)
        _ = read(into: &count)
    }

    /// Reads once into the front of `buffer`.
    package func read(into buffer: inout [UInt8]) -> Transfer {
        while true {
            let size = buffer.count
            let count = unsafe Glibc.read(number, &buffer, size)
            if count > 0 { return .moved(count) }
            if count == 0 { return .ended }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .ended
        }
    }

    /// Writes once. The process must ignore SIGPIPE.
    package func write(_ bytes: ArraySlice<UInt8>) -> Transfer {
        while true {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(number, $0.baseAddress, $0.count) }
            if count >= 0 { return .moved(count) }
            if errno == EINTR { continue }
            return errno == EAGAIN ? .wouldBlock : .ended
        }
    }
}

/// Waits for several descriptors at once, on a thread that may be held up.
package enum Poller {
    package struct Interest: Sendable {
        let descriptor: Descriptor
        let isForWriting: Bool

        package static func reading(_ descriptor: Descriptor) -> Interest {
            Interest(descriptor: descriptor, isForWriting: false)
        }

        package static func writing(_ descriptor: Descriptor) -> Interest {
            Interest(descriptor: descriptor, isForWriting: true)
        }
    }

    /// Which of them can be used, or have ended; all false when `limit` has passed.
    package static func wait(_ interests: [Interest], atMost limit: Duration?) -> [Bool] {
        var entries = interests.map { interest in
            pollfd(fd: interest.descriptor.number, events: Int16(interest.isForWriting ? POLLOUT : POLLIN), revents: 0)
        }
        var milliseconds: Int32 = -1
        if let limit {
            let parts = max(.zero, min(limit, .seconds(3600))).components
            // Rounded up, so that the time is over when it has passed.
            let rest = (parts.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
            milliseconds = Int32(parts.seconds * 1000 + rest)
        }
        let found = unsafe poll(&entries, nfds_t(entries.count), milliseconds)
        return entries.map { found > 0 && $0.revents != 0 }
    }
}
