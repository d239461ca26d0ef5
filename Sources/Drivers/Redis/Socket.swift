internal import DriverThreads
internal import Glibc

/// A non-blocking TCP connection, closed when it goes out of scope.
struct Socket: ~Copyable {
    /// What became of one attempt to send or receive.
    enum Transfer {
        case moved(Int)
        /// The kernel can take or give nothing now; poll and try again.
        case wouldBlock
        case ended(RedisError)
    }

    /// What `poll` found.
    struct Readiness {
        var readable: Bool
        var writable: Bool
    }

    let descriptor: Int32

    deinit { close(descriptor) }

    /// Connects to the first address of `host` that accepts.
    ///
    /// - Throws: `connectFailed`, or `closed` when `isClosing` answers true after a wake-up.
    static func connect(
        host: String, port: Int, deadline: ContinuousClock.Instant, wakeUp: PollWakeUp, isClosing: () -> Bool
    ) throws(RedisError) -> Socket {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = unsafe getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else {
            let reason = unsafe String(cString: gai_strerror(code))
            throw RedisError(.connectFailed, "The host name of Redis does not resolve: \(reason). Attempts go on.")
        }
        defer { unsafe freeaddrinfo(list) }
        var failure = RedisError(.connectFailed, "The host name of Redis has no address.")
        var next = unsafe list
        while let address = unsafe next {
            do throws(RedisError) {
                return try unsafe Socket(
                    connectingTo: address.pointee, deadline: deadline, wakeUp: wakeUp, isClosing: isClosing
                )
            } catch {
                if case .closed = error.code { throw error }
                failure = error
            }
            unsafe next = unsafe address.pointee.ai_next
        }
        throw failure
    }

    private init(
        connectingTo address: addrinfo, deadline: ContinuousClock.Instant, wakeUp: PollWakeUp, isClosing: () -> Bool
    ) throws(RedisError) {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        descriptor = unsafe socket(address.ai_family, kind, 0)
        guard descriptor >= 0 else { throw Self.failure("The operating system refused a socket", errno) }
        // Small commands must not wait for each other; a peer that vanished while idle is noticed in time.
        setOption(IPPROTO_TCP, TCP_NODELAY)
        setOption(SOL_SOCKET, SO_KEEPALIVE)
        if unsafe Glibc.connect(descriptor, address.ai_addr, address.ai_addrlen) == 0 { return }
        guard errno == EINPROGRESS else { throw Self.failure("Redis does not accept connections", errno) }
        while !wait(write: true, wakeUp: wakeUp, until: deadline).writable {
            if isClosing() { throw .closed }
            guard ContinuousClock.now < deadline else { throw Self.failure("Redis does not answer", ETIMEDOUT) }
        }
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size) == 0, code == 0 else {
            throw Self.failure("Redis does not accept connections", code)
        }
    }

    /// Waits until the socket can move bytes, somebody signals `wakeUp` (which is taken back), or `until` has come.
    func wait(
        read: Bool = false, write: Bool = false, wakeUp: PollWakeUp, until: ContinuousClock.Instant?
    ) -> Readiness {
        let events = (read ? Int16(POLLIN) : 0) | (write ? Int16(POLLOUT) : 0)
        var entries = [
            pollfd(fd: descriptor, events: events, revents: 0),
            pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        let limit = until.map { ($0 - .now).pollMilliseconds } ?? -1
        guard unsafe poll(&entries, nfds_t(entries.count), limit) > 0 else {
            return Readiness(readable: false, writable: false)
        }
        if entries[1].revents != 0 { wakeUp.drain() }
        // An error or a hang-up is reported as ready: the next transfer says what it was.
        let broken = entries[0].revents & Int16(POLLERR | POLLHUP | POLLNVAL) != 0
        return Readiness(
            readable: read && (broken || entries[0].revents & Int16(POLLIN) != 0),
            writable: write && (broken || entries[0].revents & Int16(POLLOUT) != 0)
        )
    }

    func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
        // MSG_NOSIGNAL: a peer that has gone must not raise SIGPIPE in this process.
        let count = unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        return count >= 0 ? .moved(count) : Self.outcome(errno)
    }

    func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
        let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count == 0 { return .ended(RedisError(.disconnected, "Redis closed the connection.")) }
        return count > 0 ? .moved(count) : Self.outcome(errno)
    }

    private func setOption(_ level: some BinaryInteger, _ name: Int32) {
        var on: Int32 = 1
        // Both options only improve timing; a kernel without them still carries the bytes.
        _ = unsafe setsockopt(descriptor, Int32(level), name, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func outcome(_ code: Int32) -> Transfer {
        if code == EAGAIN || code == EINTR { return .wouldBlock }
        return .ended(RedisError(.disconnected, "The connection to Redis broke: \(reason(code))."))
    }

    private static func failure(_ what: String, _ code: Int32) -> RedisError {
        RedisError(.connectFailed, "\(what): \(reason(code)). Nothing was sent; attempts go on.")
    }

    private static func reason(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
}
