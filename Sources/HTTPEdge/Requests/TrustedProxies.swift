package import Contracts

/// The proxies in front of this server, by their networks. What they say of a request's origin (`X-Forwarded-For`)
/// counts; nobody else's word does, since anybody can send that header.
package struct TrustedProxies: Sendable {
    /// Entries that are looked at, from the right: more proxies than a request comes through.
    package static let entriesMax = 16

    package static let none = TrustedProxies([])

    private let networks: [IPNetwork]

    package init(_ networks: [IPNetwork]) {
        self.networks = networks
    }

    package var isEmpty: Bool { networks.isEmpty }

    /// Where a request came from: the rightmost entry that is no proxy's. Each proxy appends whom it was called by, so
    /// that what stands left of the first stranger may be that stranger's invention. When only proxies are found, up to
    /// an entry that is no address or to the bound, the leftmost of them is the caller.
    /// - Parameters:
    ///   - peer: the other end of the connection.
    ///   - list: `X-Forwarded-For`, its lines joined by commas.
    /// - Returns: nil when the peer is no proxy of ours or names no address.
    package func caller(behind peer: String, forwardedFor list: String) -> IPAddress? {
        guard let peer = IPAddress(peer), contains(peer.unmapped) else { return nil }
        var caller: IPAddress?
        var rest = list[...]
        for _ in 0..<Self.entriesMax {
            let comma = rest.utf8.lastIndex(of: UInt8(ascii: ","))
            let entry = comma.map { rest[rest.utf8.index(after: $0)...] } ?? rest
            guard let address = Self.address(entry) else { break }
            caller = address
            guard let end = comma, contains(address) else { break }
            rest = rest[..<end]
        }
        return caller
    }

    private func contains(_ address: IPAddress) -> Bool { networks.contains { $0.contains(address) } }

    /// `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]` or `[::1]:567`; nil for anything else.
    private static func address(_ entry: Substring) -> IPAddress? {
        let words = entry.split { $0 == " " || $0 == "\t" }
        guard words.count == 1, let word = words.first else { return nil }
        var host = word
        var port = word[word.endIndex...]
        if word.hasPrefix("[") {
            guard let close = word.firstIndex(of: "]") else { return nil }
            host = word[..<close].dropFirst()
            port = word[close...].dropFirst()
        } else if let colon = word.firstIndex(of: ":"), colon == word.lastIndex(of: ":") {
            host = word[..<colon]
            port = word[colon...]
        }
        guard port.isEmpty || (port.hasPrefix(":") && UInt16(port.dropFirst()) != nil) else { return nil }
        return IPAddress(host)?.unmapped
    }
}
