import Contracts
import OrchestratorCore
import Testing

/// Where webhooks may be sent.
@Suite struct AddressRulesTests {
    @Test(arguments: [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1",
        "127.255.255.255", "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1",
        "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
        "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16", "::", "::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1",
        "64:ff9b::169.254.169.254", "64:ff9b:1::1", "100::1", "fe80::1", "fe80::1:2:3:4", "fec0::1", "fc00::1",
        "fd00:ec2::254", "fdff::1", "ff02::1", "ff0e::1", "2001::1", "2001:db8::1", "2001:10::1", "2002:7f00:1::",
        "2002:a00:1::1", "2002:a9fe:a9fe::", "2002:c0a8:101::", "3fff::1", "5f00::1", "4000::1",
    ])
    func `an address of no public use is refused`(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(!AddressRules().allows(address, host: "example.com"))
    }

    @Test(arguments: [
        "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.1", "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700:4700::1111", "2001:4860:4860::8888",
        "2a00:1450::1", "64:ff9b::8.8.8.8", "2002:808:808::1",
    ])
    func `an address of the public internet is allowed`(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(AddressRules().allows(address, host: "example.com"))
    }

    @Test func `what the installation allows is allowed and nothing beside it`() throws {
        let rules = try #require(AddressRules(allowed: ["10.1.0.0/16", "127.0.0.1", "fd00::/8", "Receiver.local"]))
        func allows(_ text: String, _ host: String = "other") throws -> Bool {
            rules.allows(try #require(IPAddress(text)), host: host)
        }
        #expect(try allows("10.1.255.1") && allows("127.0.0.1") && allows("fd12::9") && allows("8.8.8.8"))
        #expect(try allows("192.168.3.4", "receiver.local"))
        #expect(try !allows("10.2.0.1"))
        #expect(try !allows("127.0.0.2"))
        #expect(try !allows("fc00::1"))
        #expect(try !allows("192.168.3.4"))
    }

    @Test(arguments: [
        "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "a b", "host:80", "user@host", "http://x", "/8",
    ])
    func `an entry that is neither host nor network is refused`(entry: String) {
        #expect(AddressRules(allowed: [entry]) == nil)
    }

    @Test(arguments: [
        "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.-4", "0x7f.0.0.1", "", ":", ":::", "1::2::3",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9", "12345::", "g::", "::1%eth0", "::1.2.3", "1.2.3.4::", "[::1]",
    ])
    func `a text that is no address is none`(text: String) { #expect(IPAddress(text) == nil) }

    @Test func `addresses are read in each form`() {
        #expect(IPAddress("::")?.bytes == [UInt8](repeating: 0, count: 16))
        #expect(IPAddress("1:2:3:4:5:6:7:8")?.description == "1:2:3:4:5:6:7:8")
        #expect(IPAddress("2001:DB8::a:1.2.3.4")?.description == "2001:db8:0:0:0:a:102:304")
        #expect(IPAddress("::ffff:1.2.3.4")?.bytes.suffix(6) == [255, 255, 1, 2, 3, 4])
        #expect(IPAddress("255.0.9.10")?.description == "255.0.9.10")
    }
}
