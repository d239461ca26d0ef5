package import Contracts

/// Which addresses a webhook may be sent to: those of the public internet, and what the installation allows besides.
///
/// A tenant names the host, so that without these rules it could have this service speak to its neighbours: the stores,
/// the cloud's metadata, other tenants' machines.
package struct AddressRules: Sendable, Equatable {
    /// Hosts whose addresses are not looked at, in lower case.
    package let hosts: Set<String>
    private let networks: [IPNetwork]

    /// Allows the public internet only.
    package init() {
        hosts = []
        networks = []
    }

    /// - Parameter allowed: host names, addresses and networks (`10.1.0.0/16`). Nil when one of them is none.
    package init?(allowed: [String]) {
        var hosts: Set<String> = []
        var networks: [IPNetwork] = []
        for entry in allowed {
            if let network = IPNetwork(entry) {
                networks.append(network)
            } else if let url = WebhookURL("http://\(entry)"), url.host == entry.lowercased() {
                hosts.insert(url.host)
            } else {
                return nil
            }
        }
        self.hosts = hosts
        self.networks = networks
    }

    package func allows(_ address: IPAddress, host: String) -> Bool {
        hosts.contains(host) || networks.contains { $0.contains(address) } || Self.isPublic(address)
    }

    /// Whether it is an address of the public internet: of no special purpose, itself and whatever it embeds.
    /// Source: the IANA registries of special-purpose addresses (RFC 6890).
    package static func isPublic(_ address: IPAddress) -> Bool {
        guard address.isIPv6 else { return !special4.contains { $0.contains(address) } }
        guard global?.contains(address) == true else {
            return nat64?.contains(address) == true && isPublic4(address.bytes[12...])
        }
        if sixToFour?.contains(address) == true { return isPublic4(address.bytes[2..<6]) }
        return !special6.contains { $0.contains(address) }
    }

    private static func isPublic4(_ bytes: ArraySlice<UInt8>) -> Bool {
        IPAddress(bytes: Array(bytes)).map(isPublic) ?? false
    }

    private static let special4 = [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16",
    ].compactMap { IPNetwork($0) }

    /// Within 2000::/3; the rest of the space (loopback, mapped, link-local, unique local, multicast) is refused whole.
    private static let special6 = [
        "2001::/23", "2001:db8::/32", "2620:4f:8000::/48", "3fff::/20",
    ].compactMap { IPNetwork($0) }

    private static let global = IPNetwork("2000::/3")
    private static let sixToFour = IPNetwork("2002::/16")
    private static let nat64 = IPNetwork("64:ff9b::/96")
}
