import Contracts
import Testing

/// Networks in CIDR form. `AddressRulesTests` has what is no address.
@Suite struct IPNetworkTests {
    @Test(arguments: [
        ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"), ("10.1.2.3/16", "10.1.0.0", "10.0.255.255"),
        ("10.128.0.0/9", "10.128.0.0", "10.127.255.255"), ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("192.0.2.1/32", "192.0.2.1", "192.0.2.0"), ("0.0.0.0/0", "255.1.2.3", "::1"),
        ("fd00::/8", "fdff::1", "fc00::1"), ("2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
        ("::1", "::1", "::"), ("::/0", "ff02::1", "127.0.0.1"),
    ])
    func `a network holds what begins as it does`(text: String, inside: String, outside: String) throws {
        let network = try #require(IPNetwork(text))
        let (first, second) = (try #require(IPAddress(inside)), try #require(IPAddress(outside)))
        #expect(network.contains(first) && !network.contains(second))
    }

    @Test(arguments: [
        "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0",
        "::/129", "fd00::/x", "ingress", " 10.0.0.0/8",
    ])
    func `a text that is no network is none`(text: String) { #expect(IPNetwork(text) == nil) }

    @Test(arguments: [
        ("::ffff:1.2.3.4", "1.2.3.4"), ("::FFFF:0:0", "0.0.0.0"), ("1.2.3.4", "1.2.3.4"),
        ("::fffe:102:304", "0:0:0:0:0:fffe:102:304"), ("::1:ffff:102:304", "0:0:0:0:1:ffff:102:304"),
    ])
    func `an IPv4 address that is written as an IPv6 one is an IPv4 address`(text: String, unmapped: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.unmapped.description == unmapped)
    }
}
