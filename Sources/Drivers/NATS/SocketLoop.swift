internal import CNATS
internal import DriverThreads
internal import Glibc
internal import Synchronization

/// Carries the bytes of one session: one thread that waits for the socket, reads, and writes what nobody else does.
///
/// The library offers this to programs with an event loop. Left alone it spends a system call, and the server a
/// wake-up, on every message; this way a message only goes to the library's buffer, and the writer thread sends all it
/// has said at once (`hold`, `release`). Not used with TLS, where the library must keep reading and writing apart.
// @unchecked Sendable: the connection's pointer is written once, before the thread starts, and the library's objects
// lock themselves.
@safe final class SocketLoop: @unchecked Sendable {
    /// Bytes in the library's buffer beyond which some are sent before more is said.
    private static let bufferedMax: Int32 = 256 * 1024

    private struct State {
        var isReading = false
        /// The library has bytes to write.
        var wantsWrite = false
        /// The writer thread is going to write them.
        var isHeld = false
    }

    private let state = Mutex(State())
    private let writing = Mutex(())
    private let wakeUp = PollWakeUp()
    private let ended = WakeUp()
    private var connection: OpaquePointer?
    private var descriptor: Int32 = -1

    /// Makes a connection of these options use this loop, which must outlive it.
    func install(in options: OpaquePointer) -> natsStatus {
        unsafe natsOptions_SetEventLoop(
            options, Unmanaged.passUnretained(self).toOpaque(), onAttach, onReadChange, onWriteChange, onDetach)
    }

    // MARK: For the writer thread

    /// From now on the caller writes: nothing need be sent until `release`.
    func hold() { state.withLock { $0.isHeld = true } }

    /// Sends what was said since `hold`.
    ///
    /// - Parameter limit: how long the server may take to read it. False when it did not: the connection is of no use.
    func release(within limit: Duration) -> Bool {
        state.withLock { $0.isHeld = false }
        return write(until: .now + limit)
    }

    /// Begins to send when much has been said; what the server does not take at once stays in the buffer.
    func makeRoom() {
        if unsafe natsConnection_Buffered(connection) > Self.bufferedMax { writeOnce() }
    }

    private func write(until deadline: ContinuousClock.Instant) -> Bool {
        while writeOnce() {
            let left = deadline - .now
            guard left > .zero else { return false }
            var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            _ = unsafe poll(&entry, 1, Int32(clamping: left.wholeMilliseconds))
        }
        return true
    }

    /// Sends what the socket takes; true when there is more.
    ///
    /// One at a time, and only when there is something: nothing to send makes the library think that the connection is
    /// closed. Its callback, which takes `state`, runs meanwhile; none takes `writing`.
    @discardableResult
    private func writeOnce() -> Bool {
        writing.withLock { _ in
            guard hasMore else { return false }
            unsafe natsConnection_ProcessWriteEvent(connection)
            return hasMore
        }
    }

    private var hasMore: Bool { state.withLock { $0.wantsWrite && $0.isReading } }

    /// Waits until the thread uses the connection no more. It must have been closed.
    func join() {
        if unsafe connection != nil { ended.wait() }
    }

    // MARK: What the library says; it holds the connection's lock meanwhile

    fileprivate func attach(_ connection: OpaquePointer?, _ descriptor: Int32) {
        unsafe self.connection = connection
        self.descriptor = descriptor
        state.withLock { $0.isReading = true }
        startThread(name: "nats-socket") { self.run() }
    }

    fileprivate func setReading(_ isWanted: Bool) {
        state.withLock { $0.isReading = isWanted }
        wakeUp.signal()
    }

    fileprivate func setWriting(_ isWanted: Bool) {
        let isOurs = state.withLock { state in
            state.wantsWrite = isWanted
            return isWanted && !state.isHeld
        }
        if isOurs { wakeUp.signal() }
    }

    // MARK: The thread

    private func run() {
        while let events = state.withLock({ $0.isReading ? Self.events($0) : nil }) {
            var watched = (
                pollfd(fd: descriptor, events: events, revents: 0),
                pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0)
            )
            unsafe withUnsafeMutablePointer(to: &watched) { pair in
                _ = unsafe pair.withMemoryRebound(to: pollfd.self, capacity: 2) { unsafe poll($0, 2, -1) }
            }
            if watched.1.revents != 0 { wakeUp.drain() }
            let canWrite = watched.0.revents & Int16(POLLOUT) != 0
            let isReady = watched.0.revents & ~Int16(POLLOUT) != 0
            // Looks first whether the connection is still attached.
            if isReady { unsafe natsConnection_ProcessReadEvent(connection) }
            if canWrite { writeOnce() }
        }
        ended.raise()
    }

    private static func events(_ state: State) -> Int16 {
        Int16(POLLIN) | (state.wantsWrite && !state.isHeld ? Int16(POLLOUT) : 0)
    }
}

private func loop(_ raw: UnsafeMutableRawPointer?) -> SocketLoop? {
    guard let raw = unsafe raw else { return nil }
    return unsafe Unmanaged<SocketLoop>.fromOpaque(raw).takeUnretainedValue()
}

private func onAttach(
    _ own: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ raw: UnsafeMutableRawPointer?,
    _ connection: OpaquePointer?, _ descriptor: natsSock
) -> natsStatus {
    unsafe own?.pointee = unsafe raw
    unsafe loop(raw)?.attach(connection, descriptor)
    return NATS_OK
}

private func onReadChange(_ raw: UnsafeMutableRawPointer?, _ isWanted: Bool) -> natsStatus {
    unsafe loop(raw)?.setReading(isWanted)
    return NATS_OK
}

private func onWriteChange(_ raw: UnsafeMutableRawPointer?, _ isWanted: Bool) -> natsStatus {
    unsafe loop(raw)?.setWriting(isWanted)
    return NATS_OK
}

private func onDetach(_ raw: UnsafeMutableRawPointer?) -> natsStatus {
    unsafe loop(raw)?.setReading(false)
    return NATS_OK
}
