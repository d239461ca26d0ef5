internal import AsyncHTTPClient
internal import Contracts
internal import NIOCore
internal import NIOSSL
internal import Synchronization

/// HTTP clients that can reach one address each: the one that was checked.
///
/// A client resolves the name of its host to that address and to nothing else, so that between check and connection
/// nobody can point the name elsewhere, while the certificate is still checked against the name. Connections are kept
/// for a while, since receivers are mostly the same.
final class PinnedClients: Sendable {
    static let clientsMax = 128
    static let idleMax: Duration = .seconds(60)
    static let connectTimeout: TimeAmount = .seconds(5)

    struct Key: Hashable, Sendable {
        let host: String
        let address: IPAddress
    }

    private struct Entry {
        let client: HTTPClient
        var users: Int
        var lastUsed: ContinuousClock.Instant
    }

    private let entries = Mutex<[Key: Entry]>([:])
    private let authorities: [NIOSSLCertificate]

    /// - Parameter authorities: that certificates may come from besides the system's.
    init(authorities: [NIOSSLCertificate] = []) {
        self.authorities = authorities
    }

    /// Runs `body` with the client for that host at that address.
    func with<Result>(_ key: Key, _ body: (HTTPClient) async throws -> Result) async throws -> Result {
        let client = entries.withLock { entries in
            var entry = entries[key] ?? Entry(client: makeClient(key), users: 0, lastUsed: .now)
            entry.users += 1
            entries[key] = entry
            return entry.client
        }
        defer {
            entries.withLock { entries in
                entries[key]?.users -= 1
                entries[key]?.lastUsed = .now
            }
        }
        return try await body(client)
    }

    /// Closes clients that nobody has used for a while, and the longest unused of too many.
    func sweep() async throws { try await close(keeping: Self.clientsMax, idleSince: .now - Self.idleMax) }

    /// Closes all; to be called when nobody uses any.
    func shutdown() async throws { try await close(keeping: 0, idleSince: .now) }

    private func close(keeping max: Int, idleSince limit: ContinuousClock.Instant) async throws {
        let idle = entries.withLock { entries in
            let unused = entries.filter { $0.value.users == 0 }.sorted { $0.value.lastUsed < $1.value.lastUsed }
            let excess = unused.prefix(Swift.max(0, entries.count - max)).map(\.key)
            let old = unused.filter { $0.value.lastUsed < limit }.map(\.key)
            return Set(excess + old).compactMap { entries.removeValue(forKey: $0)?.client }
        }
        for client in idle { try await client.shutdown() }
    }

    private func makeClient(_ key: Key) -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: Self.connectTimeout)
        configuration.httpVersion = .http1Only
        configuration.connectionPool.retryConnectionEstablishment = false
        if IPAddress(key.host) == nil { configuration.dnsOverride = [key.host: key.address.description] }
        if !authorities.isEmpty {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.additionalTrustRoots = [.certificates(authorities)]
            configuration.tlsConfiguration = tls
        }
        return HTTPClient(configuration: configuration)
    }
}
