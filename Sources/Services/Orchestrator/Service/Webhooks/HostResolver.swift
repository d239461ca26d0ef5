internal import Contracts
internal import Glibc
internal import NIOPosix
internal import Synchronization

/// Turns names into addresses, once for each delivery: what it answers is what is connected to.
///
/// The system's resolver blocks, so it gets threads of its own; one that does not answer in time is left to end by
/// itself.
final class HostResolver: Sendable {
    static let threads = 16
    /// Lookups under way or waiting; more are refused as unresolved, to be tried again.
    static let lookupsMax = 256
    static let timeout: Duration = .seconds(5)
    static let addressesMax = 16

    private let pool = NIOThreadPool(numberOfThreads: threads)
    private let underWay = Atomic<Int>(0)

    func start() { pool.start() }

    func shutdown() async throws { try await pool.shutdownGracefully() }

    /// The host's addresses, IPv4 first, at most `addressesMax`; none when there is no such host or no answer in time.
    func addresses(of host: String) async -> [IPAddress] {
        if let literal = IPAddress(host) { return [literal] }
        guard underWay.add(1, ordering: .relaxed).newValue <= Self.lookupsMax else {
            underWay.subtract(1, ordering: .relaxed)
            return []
        }
        let (answers, answer) = AsyncStream<[IPAddress]>.makeStream(bufferingPolicy: .bufferingOldest(1))
        pool.submit { state in
            if state == .active { answer.yield(Self.lookUp(host)) }
            answer.finish()
            self.underWay.subtract(1, ordering: .relaxed)
        }
        return await firstOf(answers, within: Self.timeout) ?? []
    }

    private static func lookUp(_ host: String) -> [IPAddress] {
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
