internal import Contracts
internal import HTTPTypes
internal import Hummingbird
internal import Synchronization
import Testing

@testable import HTTPEdge

/// Where a request comes from when proxies stand in front.
@Suite(.timeLimit(.minutes(5))) struct TrustedProxiesTests {
    static func proxies(_ networks: String...) -> TrustedProxies {
        TrustedProxies(networks.compactMap { IPNetwork($0) })
    }

    @Test(arguments: [
        // One proxy, whatever the caller has made up before.
        ("10.1.0.5", "203.0.113.7", "203.0.113.7"),
        ("10.1.0.5", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("10.1.0.5", "1.1.1.1, 10.1.0.9, 203.0.113.7", "203.0.113.7"),
        ("10.1.0.5", "garbage, ,, 203.0.113.7", "203.0.113.7"),
        ("192.0.2.1", "203.0.113.7", "203.0.113.7"),
        ("fd00::1", "2001:DB8::1", "2001:db8:0:0:0:0:0:1"),
        // Several of them.
        ("10.1.0.5", "1.1.1.1,203.0.113.7, 192.0.2.1,fd00::2 , 10.1.2.3", "203.0.113.7"),
        ("10.1.0.5", "10.1.0.7, 10.1.0.8", "10.1.0.7"),
        // IPv4 as dual-stack sockets and proxies write it.
        ("::ffff:10.1.0.5", "203.0.113.7", "203.0.113.7"),
        ("10.1.0.5", "203.0.113.7, ::ffff:10.1.0.8", "203.0.113.7"),
        ("10.1.0.5", "::ffff:203.0.113.7", "203.0.113.7"),
        // Ports and spaces.
        ("10.1.0.5", "1.1.1.1, 203.0.113.7:567", "203.0.113.7"),
        ("10.1.0.5", "203.0.113.7, 10.1.0.8:80", "203.0.113.7"),
        ("10.1.0.5", "[::1]:80", "0:0:0:0:0:0:0:1"),
        ("10.1.0.5", "[2001:db8::1], [fd00::2]:65535", "2001:db8:0:0:0:0:0:1"),
        ("10.1.0.5", " \t203.0.113.7\t ", "203.0.113.7"),
        // What is no address ends the search.
        ("10.1.0.5", "203.0.113.7, unknown, 10.1.0.8", "10.1.0.8"),
        ("10.1.0.5", "203.0.113.7, , 10.1.0.8", "10.1.0.8"),
        ("10.1.0.5", "203.0.113.7,10.1.0.8:http,10.1.0.9", "10.1.0.9"),
    ])
    func `the caller is the rightmost address that is no proxy's`(peer: String, list: String, caller: String) {
        let proxies = Self.proxies("10.1.0.0/16", "192.0.2.1", "fd00::/8")
        #expect(proxies.caller(behind: peer, forwardedFor: list)?.description == caller)
    }

    @Test(arguments: [
        // A stranger's own word.
        ("203.0.113.7", "1.1.1.1"), ("192.0.2.2", "1.1.1.1"), ("10.2.0.5", "1.1.1.1"), ("fc00::1", "1.1.1.1"),
        ("::ffff:10.2.0.5", "1.1.1.1"), ("unknown", "1.1.1.1"), ("", "1.1.1.1"),
        // No address where the proxy should have written one.
        ("10.1.0.5", ""), ("10.1.0.5", " "), ("10.1.0.5", ","), ("10.1.0.5", "203.0.113.7,"),
        ("10.1.0.5", "203.0.113.7, unknown"), ("10.1.0.5", "203.0.113.7 198.51.100.1"), ("10.1.0.5", "203.0.113.7:"),
        ("10.1.0.5", "203.0.113.7:x"), ("10.1.0.5", "203.0.113.7:65536"), ("10.1.0.5", "203.0.113.007"),
        ("10.1.0.5", "[2001:db8::1"), ("10.1.0.5", "[2001:db8::1]80"), ("10.1.0.5", "2001:db8::1]:80"),
        ("10.1.0.5", "fe80::1%eth0"), ("10.1.0.5", ":80"), ("10.1.0.5", "[]"), ("10.1.0.5", "é"),
    ])
    func `the peer is the caller where nobody trusted names one`(peer: String, list: String) {
        let proxies = Self.proxies("10.1.0.0/16", "192.0.2.1", "fd00::/8")
        #expect(proxies.caller(behind: peer, forwardedFor: list) == nil)
    }

    @Test func `no more entries are looked at than the bound says`() {
        let proxies = Self.proxies("10.1.0.0/16")
        func caller(behind count: Int) -> String? {
            let list = ["203.0.113.7"] + (1...count).map { "10.1.0.\($0)" }
            return proxies.caller(behind: "10.1.1.1", forwardedFor: list.joined(separator: ", "))?.description
        }
        #expect(caller(behind: TrustedProxies.entriesMax - 1) == "203.0.113.7")
        #expect(caller(behind: TrustedProxies.entriesMax) == "10.1.0.1")
        #expect(caller(behind: 200) == "10.1.0.185")
        let long = String(repeating: "9", count: 8000)
        #expect(proxies.caller(behind: "10.1.1.1", forwardedFor: "203.0.113.7,\(long)") == nil)
    }

    @Test func `who is behind a trusted proxy is told apart, and only then`() async throws {
        // The header in two lines, of which the client wrote the first address.
        let forwarded = ["X-Forwarded-For": "1.1.1.1, 203.0.113.7\r\nX-Forwarded-For: 10.1.0.9"]
        try await TestEdge.run(adjust: { $0.trustedProxies = Self.proxies("127.0.0.0/8", "10.1.0.0/16") }) { edge in
            _ = try await edge.send("GET", "/fails", headers: forwarded)
            _ = try await edge.send("GET", "/fails")
            #expect(edge.metrics.callers == ["203.0.113.7", "127.0.0.1"])
        }
        for proxies in [TrustedProxies.none, Self.proxies("10.1.0.0/16")] {
            try await TestEdge.run(adjust: { $0.trustedProxies = proxies }) { edge in
                _ = try await edge.send("GET", "/fails", headers: forwarded)
                #expect(edge.metrics.callers == ["127.0.0.1"])
            }
        }
    }

    @Test(arguments: [
        ("203.0.113.7", "203.0.113.7"), ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"), ("2001:DB8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"), ("::1", "0:0:0:0::/64"),
    ])
    func `limits count an IPv6 address by its network, which is its holder's`(address: String, counted: String) {
        #expect(IPAddress(address)?.limited == counted)
    }

    @Test func `limits see the network, the audit log the address`() async throws {
        let limited = Mutex<[String]>([])
        let events = `Audit hook`.Events()
        let route = Route(
            .post, "/open", access: .open, operation: Operation(id: "open", summary: "Open.", tag: "x", answers: []),
            handler: { _, _ in .json(.emptyObject) }
        )
        try await TestEdge.run(
            routes: [route],
            adjust: { edge in
                edge.trustedProxies = Self.proxies("127.0.0.0/8")
                edge.audit = events.record
                edge.rateLimiter = { request in
                    limited.withLock { $0.append(request.address) }
                    return RateLimitDecision(policies: [], isAdmitted: true)
                }
            }
        ) { edge in
            for address in ["2001:db8:1:2::1", "2001:db8:1:2::2", "203.0.113.7"] {
                let answer = try await edge.send("POST", "/open", headers: ["X-Forwarded-For": address])
                #expect(answer.status == 200)
            }
        }
        let counted = ["2001:db8:1:2::/64", "2001:db8:1:2::/64", "203.0.113.7"]
        let seen = limited.withLock { $0 }
        #expect(seen == counted && events.events.map(\.limitedAddress) == counted)
        #expect(
            events.events.map(\.address) == ["2001:db8:1:2:0:0:0:1", "2001:db8:1:2:0:0:0:2", "203.0.113.7"])
    }
}
