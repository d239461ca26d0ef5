internal import Contracts

extension IPAddress {
    /// What its holder cannot change at will: an IPv4 address as it is, of an IPv6 one the first 64 bits, since whoever
    /// has one of such a network has all of them (RFC 4291, section 2.5.4; RFC 6177).
    var limited: String {
        let address = unmapped
        guard address.isIPv6 else { return address.description }
        let groups = address.description.split(separator: ":").prefix(4)
        return groups.joined(separator: ":") + "::/64"
    }
}
