/// A network of IPv4 or IPv6 addresses: all that have their first bits in common (CIDR, RFC 4632).
package struct IPNetwork: Sendable, Hashable {
    private let prefix: [UInt8]
    private let bits: Int

    /// `10.0.0.0/8`, `fd00::/8`, or one address. Nil for anything else.
    package init?(_ text: some StringProtocol) {
        let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(halves[0]) else { return nil }
        prefix = address.bytes
        let width = address.bytes.count * 8
        guard halves.count == 2 else {
            bits = width
            return
        }
        guard let bits = Int(halves[1]), (0...width).contains(bits) else { return nil }
        self.bits = bits
    }

    package func contains(_ address: IPAddress) -> Bool { address.starts(with: prefix, bits: bits) }
}
