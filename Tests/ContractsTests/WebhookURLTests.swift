import Contracts
import Testing

/// The addresses that webhooks are sent to.
@Suite struct WebhookURLTests {
    @Test(arguments: [
        ("https://example.com", "https://example.com/", "example.com"),
        ("HTTPS://Example.COM/Path?Q=1", "https://example.com/Path?Q=1", "example.com"),
        ("http://example.com:80/x", "http://example.com/x", "example.com"),
        ("https://example.com:8443?a=b", "https://example.com:8443/?a=b", "example.com:8443"),
        ("http://127.0.0.1:9000/hook", "http://127.0.0.1:9000/hook", "127.0.0.1:9000"),
        ("https://[2001:DB8::1]:8443/h", "https://[2001:db8::1]:8443/h", "[2001:db8::1]:8443"),
        ("https://xn--bcher-kva.example/%C3%A4", "https://xn--bcher-kva.example/%C3%A4", "xn--bcher-kva.example"),
        ("https://a_b.example/p:@!$&'()*+,;=", "https://a_b.example/p:@!$&'()*+,;=", "a_b.example"),
    ])
    func `an address is read and written in one form`(text: String, written: String, authority: String) throws {
        let url = try #require(WebhookURL(text))
        #expect(url.description == written)
        #expect(url.authority == authority)
        #expect(WebhookURL(url.description) == url)
    }

    @Test(arguments: [
        "", "example.com", "ftp://example.com", "https:/example.com", "https://", "https:///path",
        "https://user@example.com",
        "https://user:pw@example.com/", "https://example.com@10.0.0.1/", "https://example.com/#f",
        "https://exa mple.com",
        "https://example.com/ä", "https://example.com/%zz", "https://example.com/%a", "https://example.com/[x]",
        "https://example.com\\@evil.test", "https://-a.example", "https://a-.example", "https://a..b", "https://.a",
        "https://example.com:0", "https://example.com:65536", "https://example.com:", "https://example.com:8x",
        "https://example.com:22/", "https://example.com:25/", "https://example.com:6379x", "http://2130706433/",
        "http://0x7f.0.0.1/", "http://0x7f000001/", "http://127.1/", "http://0177.0.0.1/", "http://1.2.3.4.5/",
        "http://[::1", "http://[::1]x/", "http://[1.2.3.4]/", "http://[fe80::1%25eth0]/", "http://[::1]:70000/",
        "https://example.com/a\r\nHost: b", "https://example.com/a\tb",
    ])
    func `an address that could be misread is refused with a reason`(text: String) {
        #expect(WebhookURL(text) == nil)
        #expect(WebhookURL.fault(in: text)?.isEmpty == false)
    }

    @Test func `its length is bounded`() {
        let base = "https://example.com/"
        #expect(WebhookURL(base + String(repeating: "a", count: WebhookURL.bytesMax - base.utf8.count)) != nil)
        #expect(WebhookURL(base + String(repeating: "a", count: WebhookURL.bytesMax - base.utf8.count + 1)) == nil)
    }

    @Test func `a submission's callback is checked and named`() throws {
        let good = try TaskSubmission(json: JSON(parsing: #"{"callback_url":"https://example.com/cb"}"#.utf8))
        #expect(good.callback?.host == "example.com")
        let none = try TaskSubmission(json: JSON(parsing: "{}".utf8))
        #expect(none.callback == nil)
        let error = #expect(throws: JSONError.self) {
            try TaskSubmission(json: JSON(parsing: #"{"callback_url":"gopher://x"}"#.utf8))
        }
        #expect(error?.path == "callback_url")
    }
}
