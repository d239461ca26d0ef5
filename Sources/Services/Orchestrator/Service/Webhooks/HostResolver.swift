internal import Contracts
internal import Glibc
internal import NIOPosix
internal import Synchronization

/// Turns names into addresses, once for each delivery: what it answers is what is connected to.
///
/// The system's resolver blocks, so it gets threads of its own; one that does not answer in time is left to end by
/// itself. Whose turn it is to have one, `LookupQueue` says.
final class HostResolver: Sendable {
    enum Answer: Sendable, Equatable {
        /// IPv4 first, at most `addressesMax`; none when there is no such host or no answer in time.
        case addresses([IPAddress])
        /// No thread was free in time, which says nothing about the host.
        case busy
    }

    static let addressesMax = 16

    private let pool = NIOThreadPool(numberOfThreads: LookupQueue.threads)
    private let queue = Mutex(LookupQueue())
    private let timeout: Duration
    private let lookUp: @Sendable (String) -> [IPAddress]

    /// - Parameters:
    ///   - timeout: for a thread, and as long again for the answer.
    ///   - lookUp: asks the system; may block.
    init(
        timeout: Duration = .seconds(5),
        lookUp: @escaping @Sendable (String) -> [IPAddress] = { HostResolver.systemAddresses(of: $0) }
    ) {
        self.timeout = timeout
        self.lookUp = lookUp
    }

    func start() { pool.start() }

    func shutdown() async throws { try await pool.shutdownGracefully() }

    func addresses(of host: String, for tenant: TenantID) async -> Answer {
        if let literal = IPAddress(host) { return .addresses([literal]) }
        let name = LookupQueue.Name(tenant: tenant, host: host)
        let asker = LookupQueue.Asker()
        guard let isUnderWay = queue.withLock({ $0.add(asker, to: name) }) else { return .busy }
        defer { queue.withLock { $0.remove(asker, from: name) } }
        if isUnderWay { asker.begin() } else { startNext() }
        guard await firstOf(asker.begun, within: timeout) != nil else { return .busy }
        return .addresses(await firstOf(asker.answers, within: timeout) ?? [])
    }

    static func systemAddresses(of host: String) -> [IPAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var found: [IPAddress] = []
        var next = list
        while let entry = next?.pointee, found.count < addressesMax {
            if let address = address(entry), !found.contains(address) { found.append(address) }
            next = entry.ai_next
        }
        return found.filter { !$0.isIPv6 } + found.filter(\.isIPv6)
    }

    /// Gives threads to all whose turn it is.
    private func startNext() {
        while let lookup = queue.withLock({ $0.startNext() }) {
            for asker in lookup.askers { asker.begin() }
            pool.submit { state in
                let found = state == .active ? self.lookUp(lookup.name.host) : []
                for asker in self.queue.withLock({ $0.end(lookup.name) }) { asker.answer(found) }
                self.startNext()
            }
        }
    }

    private static func address(_ entry: addrinfo) -> IPAddress? {
        guard let socket = entry.ai_addr else { return nil }
        let raw = UnsafeRawPointer(socket)
        switch entry.ai_family {
        case AF_INET:
            return withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in.self).sin_addr) { IPAddress(bytes: Array($0)) }
        case AF_INET6:
            return withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr) {
                IPAddress(bytes: Array($0))
            }
        default: return nil
        }
    }
}

/// The first element, or nil when none comes in time or the sequence ends without one.
func firstOf<Element: Sendable>(_ stream: AsyncStream<Element>, within limit: Duration) async -> Element? {
    await withTaskGroup(of: Element?.self) { group in
        group.addTask {
            for await element in stream { return element }
            return nil
        }
        group.addTask {
            do { try await Task.sleep(for: limit) } catch { return nil }
            return nil
        }
        defer { group.cancelAll() }
        return await group.next() ?? nil
    }
}
