import Contracts
import Foundation
import Storage
import Testing

@testable import OrchestratorService

/// What proves to a receiver who sends.
@Suite struct WebhookSignatureTests {
    static let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    /// The example of the Standard Webhooks specification's own test suites.
    @Test func `a signature is the specification's`() throws {
        let bytes = try #require(Data(base64Encoded: String(Self.secret.dropFirst(WebhookSecret.prefix.count))))
        let signature = WebhookSignature.signature(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: "1614265330",
            body: Array(#"{"test": 2432232314}"#.utf8), secret: WebhookSecret(bytes: Array(bytes))
        )
        #expect(signature == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test func `headers carry a signature for each secret, the current one's first`() {
        let (old, new) = (WebhookSecret(), WebhookSecret())
        let now = Date(timeIntervalSince1970: 1_790_000_000.9)
        let headers = WebhookSignature.headers(id: "i", at: now, body: [1, 2], secrets: [new, old])
        #expect(headers.map(\.name) == ["webhook-id", "webhook-timestamp", "webhook-signature"])
        #expect(headers[1].value == "1790000000")
        let expected = [new, old].map {
            "v1," + WebhookSignature.signature(id: "i", timestamp: "1790000000", body: [1, 2], secret: $0)
        }
        #expect(headers[2].value == expected.joined(separator: " "))
    }

    @Test func `secrets are 256 random bits in the specification's form`() throws {
        let texts = Set((0..<100).map { _ in WebhookSecret().text })
        #expect(texts.count == 100)
        for text in texts {
            #expect(text.hasPrefix("whsec_"))
            #expect(Data(base64Encoded: String(text.dropFirst(6)))?.count == 32)
        }
    }

    @Test func `a kept secret opens under its tenant and installation only, the one before until its time`() throws {
        let now = Date(timeIntervalSince1970: 1_790_000_000)
        let secrets = WebhookSecrets(installation: [Array("one installation's secret of 32 b".utf8)])
        let (acme, globex) = (TenantID(literal: "acme"), TenantID(literal: "globex"))
        let first = try #require(try secrets.make(for: acme))
        let second = try #require(try secrets.make(for: acme))
        let kept = SealedSecret(
            sealed: second.sealed, previous: .init(sealed: first.sealed, until: now + 10), changedAt: now)
        let both = secrets.open(kept, of: acme, now: now).map(\.text)
        #expect(both == [second.secret.text, first.secret.text])
        #expect(secrets.open(kept, of: acme, now: now + 10).map(\.text) == [second.secret.text])
        #expect(secrets.open(kept, of: globex, now: now).isEmpty)
        #expect(WebhookSecrets(installation: [Array("another".utf8)]).open(kept, of: acme, now: now).isEmpty)
        #expect(try WebhookSecrets(installation: []).make(for: acme) == nil)
        #expect(!String(decoding: first.sealed, as: UTF8.self).contains(first.secret.text))
    }

    @Test(arguments: [
        ("120", 120), ("0", 0), ("Sat, 21 Nov 2026 15:00:30 GMT", 30), ("Sat, 21 Nov 2026 14:00:00 GMT", 0),
    ])
    func `Retry-After is read as seconds and as a date`(text: String, seconds: Int) throws {
        let now = try #require(Timestamp.date("2026-11-21T15:00:00Z"))
        #expect(RetryAfter.seconds(text, now: now) == seconds)
    }

    @Test(arguments: [
        "", "-1", "soon", "1.5", "Sat, 21 Foo 2026 15:00:30 GMT", "Sat, 99 Nov 2026 15:00:30 GMT", "1 2 3 4 5 GMT",
    ])
    func `a Retry-After that is none says nothing`(text: String) {
        #expect(RetryAfter.seconds(text, now: Date()) == nil)
    }

    @Test func `hosts with long names get a breaker's name of their own`() throws {
        let long = String(repeating: "a", count: 60) + "." + String(repeating: "b", count: 60) + ".example"
        func name(_ host: String, _ tenant: String = "acme") throws -> String {
            ReceiverBreakers.name(DeliveryTarget(tenant: try #require(TenantID(tenant)), host: host))
        }
        #expect(try name("example.com") == "webhook:acme:example.com")
        let tenant = String(repeating: "t", count: 63)
        #expect(try name(long, tenant).utf8.count <= 128)
        #expect(try name(long) != name("c" + long))
        #expect(try name(long) != name(long, "beta"))
    }
}
