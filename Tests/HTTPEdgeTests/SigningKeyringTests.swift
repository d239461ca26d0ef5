import Contracts
import Crypto
import Foundation
import HTTPEdge
import HTTPTypes
import Synchronization
import Testing

/// Keys that all replicas of a test share, as Postgres would hold them.
final class SharedKeys: Sendable {
    private let records = Mutex<[SigningKeyRecord]>([])
    private let reads = Mutex(0)

    var all: [SigningKeyRecord] { records.withLock { $0 } }
    var readCount: Int { reads.withLock { $0 } }

    /// - Parameter told: what a read comes to before the replica has it.
    func replica(
        secret: [UInt8] = TestEdge.secret, older: [[UInt8]] = [],
        told: @escaping @Sendable ([SigningKeyRecord]) async throws -> [SigningKeyRecord] = { $0 }
    ) -> SigningKeyring {
        SigningKeyring(
            secrets: [secret] + older,
            load: { now in
                self.reads.withLock { $0 += 1 }
                return try await told(self.all.filter { now < $0.validUntil })
            },
            change: { now, decide in
                try self.records.withLock { records in
                    records = try decide(records.filter { now < $0.validUntil })
                    return records
                }
            }
        )
    }
}

/// Holds up the first who passes once it is set.
private final class Barrier: Sendable {
    private let isSet = Mutex(false)
    private let (reached, reach) = AsyncStream<Never>.makeStream()
    private let (opened, opening) = AsyncStream<Never>.makeStream()

    func set() { isSet.withLock { $0 = true } }

    func pass() async {
        let isHeld = isSet.withLock { isSet in
            defer { isSet = false }
            return isSet
        }
        guard isHeld else { return }
        reach.finish()
        for await _ in opened {}
    }

    func isReached() async { for await _ in reached {} }

    func open() { opening.finish() }
}

@Suite(.timeLimit(.minutes(5))) struct `Signing keys` {
    private let start = Date(timeIntervalSince1970: Date().timeIntervalSince1970.rounded())
    private let ada = Principal(subject: "ada", role: .operator, tenant: TenantID(literal: "acme"))
    private let day: TimeInterval = 86_400

    private func issuer(_ keyring: SigningKeyring) -> TokenIssuer {
        TokenIssuer(keyring: keyring, issuer: "golden", audience: "golden-api")
    }

    private func verifier(_ keyring: SigningKeyring, at now: Date) async throws -> TokenVerifier {
        try await TokenVerifier(
            TokenConfiguration(secrets: [TestEdge.secret]), issued: keyring, logger: TestEdge.silence, now: { now }
        )
    }

    private func ids(_ keyring: SigningKeyring, at now: Date) throws -> [String] {
        var set = try JSONReader(keyring.publicKeys(now: now))
        return try (set.optionalArray("keys") ?? []).map { entry in
            var fields = try JSONReader(entry)
            #expect(entry.fields?.map(\.name) == ["kty", "crv", "alg", "use", "kid", "x", "y"])
            return try fields.string("kid")
        }
    }

    @Test func `a token of one replica is accepted by another, beside those of the secret`() async throws {
        let shared = SharedKeys()
        let (one, two) = (shared.replica(), shared.replica())
        let issued = try await issuer(one).issue(to: ada, now: start)
        #expect(issued.expiresInSeconds == 900)
        let verifier = try await verifier(two, at: start)
        let verified = try await verifier.verify(token: issued.token)
        #expect(verified == VerifiedToken(principal: ada, expiresAt: start + 900, issuedAt: verified.issuedAt))
        let age = try #require(verified.issuedAt).timeIntervalSince(start)
        #expect((0..<0.01).contains(age))
        #expect(try await verifier.verify(token: Mint.hs256()).principal.subject == "ada")
        #expect(shared.all.count == 1)
    }

    @Test func `keys follow each other, two at a time, and old tokens stay good`() async throws {
        let shared = SharedKeys()
        let keyring = shared.replica()
        try await keyring.keepUp(now: start)
        let first = try ids(keyring, at: start)
        #expect(first.count == 1)
        try await keyring.keepUp(now: start + 5.9 * day)
        #expect(try ids(keyring, at: start) == first)
        // A day before its time the next one is published and does not sign yet.
        try await keyring.keepUp(now: start + 6 * day)
        let both = try ids(keyring, at: start + 6 * day)
        #expect(both.count == 2 && both[0] == first[0])
        let last = try await issuer(keyring).issue(to: ada, now: start + 7 * day - 1)
        #expect(try kid(last.token) == both[0])
        let next = try await issuer(keyring).issue(to: ada, now: start + 7 * day)
        #expect(try kid(next.token) == both[1])
        // The last token of the old key is good until it expires; the key goes two hours after it signed last.
        let late = start + 7 * day + 899
        #expect(try await verifier(keyring, at: late).verify(token: last.token).principal == ada)
        try await keyring.keepUp(now: start + 7 * day + 7201)
        #expect(try ids(keyring, at: start + 7 * day + 7201) == [both[1]])
    }

    @Test func `a key made out of turn signs after a minute`() async throws {
        let shared = SharedKeys()
        let keyring = shared.replica()
        try await keyring.keepUp(now: start)
        try await keyring.rotate(now: start + 10)
        let keys = try ids(keyring, at: start + 10)
        #expect(keys.count == 2)
        #expect(try kid(try await issuer(keyring).issue(to: ada, now: start + 69).token) == keys[0])
        let token = try await issuer(keyring).issue(to: ada, now: start + 70).token
        #expect(try kid(token) == keys[1])
        #expect(try await verifier(shared.replica(), at: start + 70).verify(token: token).principal == ada)
        for number in 3...SigningKeyring.keysMax { try await keyring.rotate(now: start + 80 + Double(number)) }
        await #expect(throws: Problem.self) { try await keyring.rotate(now: start + 90) }
        #expect(shared.all.count == SigningKeyring.keysMax)
        try await keyring.rotate(immediately: true, now: start + 90)
        #expect(shared.all.count == 1)
    }

    @Test func `a key made out of turn retires all others, and what was published for later never signs`()
        async throws
    {
        let shared = SharedKeys()
        let (keyring, thief) = (shared.replica(), shared.replica())
        try await keyring.keepUp(now: start)
        let turn = start + 6 * day
        try await keyring.keepUp(now: turn)
        let old = try ids(keyring, at: turn)
        #expect(old.count == 2)
        // Whoever has the old keys goes on signing with them, whatever became of them.
        try await thief.keepUp(now: turn)
        try await keyring.rotate(now: turn)
        let kept = try ids(keyring, at: turn)
        #expect(kept.count == 2 && kept[0] == old[0] && kept[1] != old[1])
        let last = try await issuer(keyring).issue(to: ada, now: turn + 59).token
        #expect(try kid(last) == old[0])
        for time in [turn + 60, turn + day, turn + day + 1] {
            #expect(try kid(try await issuer(keyring).issue(to: ada, now: time).token) == kept[1])
        }
        // What was signed before is good until it expires.
        #expect(try await verifier(keyring, at: turn + 958).verify(token: last).principal == ada)
        let late = turn + 3 * 3600
        for time in [late, turn + day + 3600] {
            let forged = try await issuer(thief).issue(to: ada, now: time).token
            #expect(old.contains(try kid(forged)))
            let verifier = try await verifier(keyring, at: time)
            await #expect { _ = try await verifier.verify(token: forged) } throws: {
                ($0 as? Problem)?.code == .tokenUnknownKey
            }
        }
        let newcomer = shared.replica()
        try await newcomer.keepUp(now: late)
        #expect(try ids(newcomer, at: late) == [kept[1]])
    }

    @Test func `rotated immediately, the new key signs at once and no token of another counts`() async throws {
        let shared = SharedKeys()
        let (one, two) = (shared.replica(), shared.replica())
        let token = try await issuer(one).issue(to: ada, now: start).token
        let verifiers = [try await verifier(one, at: start + 5), try await verifier(two, at: start + 5)]
        for verifier in verifiers { #expect(try await verifier.verify(token: token).principal == ada) }
        try await one.rotate(immediately: true, now: start + 5)
        #expect(shared.all.count == 1)
        try await two.keepUp(now: start + 5)
        let fresh = try await issuer(one).issue(to: ada, now: start + 5).token
        #expect(try kid(fresh) == shared.all[0].id && kid(fresh) != kid(token))
        for verifier in verifiers {
            // Though it was verified a moment ago.
            await #expect { _ = try await verifier.verify(token: token) } throws: {
                ($0 as? Problem)?.code == .tokenUnknownKey
            }
            #expect(try await verifier.verify(token: fresh).principal == ada)
        }
    }

    @Test func `a list that was read before an immediate rotation brings no key back`() async throws {
        let shared = SharedKeys()
        let barrier = Barrier()
        let keyring = shared.replica(told: { records in
            await barrier.pass()
            return records
        })
        let now = start + 1
        let token = try await issuer(keyring).issue(to: ada, now: start).token
        let verifier = try await verifier(keyring, at: now)
        #expect(try await verifier.verify(token: token).principal == ada)
        barrier.set()
        async let late: Void = keyring.keepUp(now: now)
        await barrier.isReached()
        try await keyring.rotate(immediately: true, now: now)
        barrier.open()
        try await late
        #expect(try ids(keyring, at: now) == shared.all.map(\.id) && shared.all.count == 1)
        await #expect { _ = try await verifier.verify(token: token) } throws: {
            ($0 as? Problem)?.code == .tokenUnknownKey
        }
        let fresh = try await issuer(keyring).issue(to: ada, now: now).token
        #expect(try kid(fresh) == shared.all[0].id)
    }

    @Test func `an immediate rotation counts at once, though the keys cannot be read back`() async throws {
        let shared = SharedKeys()
        let isAway = Mutex(false)
        let keyring = shared.replica(told: { records in
            if isAway.withLock({ $0 }) { throw Problem(.unavailable, "The store does not answer.") }
            return records
        })
        let now = start + 1
        let token = try await issuer(keyring).issue(to: ada, now: start).token
        let verifier = try await verifier(keyring, at: now)
        #expect(try await verifier.verify(token: token).principal == ada)
        isAway.withLock { $0 = true }
        try await keyring.rotate(immediately: true, now: now)
        #expect(try ids(keyring, at: now) == shared.all.map(\.id) && shared.all.count == 1)
        await #expect(throws: Problem.self) { _ = try await verifier.verify(token: token) }
        let fresh = try await issuer(keyring).issue(to: ada, now: now).token
        #expect(try await verifier.verify(token: fresh).principal == ada)
    }

    @Test func `the first key signs at once, though the store rounds its times`() async throws {
        let keyring = SharedKeys().replica(told: { records in
            records.map { record in
                SigningKeyRecord(
                    id: record.id, publicKey: record.publicKey, privateKeySealed: record.privateKeySealed,
                    createdAt: record.createdAt,
                    signsFrom: Date(timeIntervalSince1970: record.signsFrom.timeIntervalSince1970.rounded(.up)),
                    signsUntil: record.signsUntil, validUntil: record.validUntil)
            }
        })
        let now = start + 0.25
        let issued = try await issuer(keyring).issue(to: ada, now: now)
        #expect(try await verifier(keyring, at: now).verify(token: issued.token).principal == ada)
    }

    @Test func `another secret opens no key; the older one still does`() async throws {
        let shared = SharedKeys()
        let old = shared.replica()
        let token = try await issuer(old).issue(to: ada, now: start).token
        let secret = Array("another-Secret-0f-thirty-two-bytes!".utf8)
        let stranger = shared.replica(secret: secret)
        // It verifies what others sign, and makes a key of its own to sign with.
        #expect(try await verifier(stranger, at: start).verify(token: token).principal == ada)
        #expect(try kid(try await issuer(stranger).issue(to: ada, now: start).token) != kid(token))
        #expect(shared.all.count == 2)
        let both = SharedKeys()
        _ = try await issuer(both.replica()).issue(to: ada, now: start)
        _ = try await issuer(both.replica(secret: secret, older: [TestEdge.secret])).issue(to: ada, now: start)
        #expect(both.all.count == 1)
    }

    @Test func `unknown key ids do not make it read the store each time`() async throws {
        let shared = SharedKeys()
        let keyring = shared.replica()
        let token = try await issuer(keyring).issue(to: ada, now: start).token
        let verifier = try await verifier(keyring, at: start + 5)
        let before = shared.readCount
        for number in 0..<50 {
            let forged = try forge(token, header: #"{"alg":"ES256","kid":"golden-00000000000000\#(10 + number)"}"#)
            await #expect(throws: Problem.self) { try await verifier.verify(token: forged) }
        }
        #expect(shared.readCount == before + 1)
    }

    @Test func `a key that another replica just made is looked up, though this one read the keys a moment ago`()
        async throws
    {
        let shared = SharedKeys()
        let (one, two) = (shared.replica(), shared.replica())
        try await one.keepUp(now: start)
        try await two.keepUp(now: start)
        try await one.rotate(immediately: true, now: start + 1)
        let token = try await issuer(one).issue(to: ada, now: start + 1).token
        let verified = try await verifier(two, at: start + 1).verify(token: token)
        #expect(verified.principal == ada)
    }

    @Test func `no forged, mutated or outlived token is accepted`() async throws {
        let shared = SharedKeys()
        let keyring = shared.replica()
        let good = try await issuer(keyring).issue(to: ada, now: start).token
        let verifier = try await verifier(keyring, at: start)
        #expect(try await verifier.verify(token: good).principal == ada)
        let attacks = try await attacks(on: good, keyring: keyring, key: try #require(shared.all.first))
        #expect(attacks.count >= 25)
        for (name, token) in attacks {
            do {
                let accepted = try await verifier.verify(token: token)
                Issue.record("\(name) was accepted as \(accepted)")
            } catch {
                #expect(error.code.status == .unauthorized, "\(name): \(error.code)")
            }
        }
    }

    private func attacks(
        on good: String, keyring: SigningKeyring, key: SigningKeyRecord
    ) async throws -> [(String, String)] {
        let parts = good.split(separator: ".").map(String.init)
        let point = Array("\u{4}".utf8) + key.publicKey
        let kid = try self.kid(good)
        var list: [(String, String)] = [
            ("no signature", "\(parts[0]).\(parts[1])."), ("two parts", "\(parts[0]).\(parts[1])"),
            ("four parts", good + ".x"), ("empty", ""), ("padding", good + "="),
            ("signature of another length", good + "AAAA"),
            ("signature cut", String(good.dropLast(4))),
            ("zero signature", "\(parts[0]).\(parts[1]).\(String(repeating: "A", count: 86))"),
            ("parts exchanged", "\(parts[1]).\(parts[0]).\(parts[2])"), ("a token as its own kid", good + good),
        ]
        for header in [
            #"{"alg":"none","kid":"\#(kid)"}"#, #"{"alg":"None"}"#, #"{"alg":"HS256","kid":"\#(kid)"}"#,
            #"{"alg":"ES384","kid":"\#(kid)"}"#, #"{"alg":"RS256","kid":"\#(kid)"}"#, #"{"alg":"ES256"}"#,
            #"{"alg":"ES256","kid":"golden-0000000000000000"}"#, #"{"alg":"ES256","kid":"../../dev/null"}"#,
            #"{"alg":"ES256","kid":"\#(kid)","crit":["b64"],"b64":false}"#, #"{"alg":"ES256","kid":["\#(kid)"]}"#,
            #"{"alg":"ES256","alg":"none","kid":"\#(kid)"}"#, #"{"kid":"\#(kid)"}"#,
            #"{"alg":"ES256","kid":"golden-"}"#, #"{"alg":"ES256","kid":"\#(kid)","jku":"http://evil.test/keys"}"#,
        ] {
            list.append(("header \(header)", try forge(good, header: header)))
        }
        for change in [("\"operator\"", "\"admin\""), ("\"acme\"", "\"beta\""), ("\"ada\"", "\"eve\"")] {
            list.append(("claims \(change)", try forge(good, replacing: change.0, with: change.1)))
        }
        list.append(("DER signature", "\(parts[0]).\(parts[1]).\(Base64URL.encode(try der(parts[2])))"))
        let header = #"{"alg":"HS256","kid":"\#(kid)"}"#
        list.append(("public point as secret", Mint.hs256(header: header, secret: point)))
        list.append(("public key as secret", Mint.hs256(header: header, secret: key.publicKey)))
        list.append(("the right secret under the kid", Mint.hs256(header: header)))
        list.append(("expired", try await issuer(keyring).issue(to: ada, now: start - 961).token))
        list.append(("not yet issued", try await issuer(keyring).issue(to: ada, now: start + 61).token))
        list.append(("a stranger's key", try await issuer(SharedKeys().replica()).issue(to: ada, now: start).token))
        let foreign = TokenIssuer(keyring: keyring, issuer: "elsewhere", audience: "golden-api")
        list.append(("another issuer", try await foreign.issue(to: ada, now: start).token))
        let elsewhere = TokenIssuer(keyring: keyring, issuer: "golden", audience: "other-api")
        list.append(("another audience", try await elsewhere.issue(to: ada, now: start).token))
        return list
    }

    /// The same signature in the other usual encoding (X9.62).
    private func der(_ signature: String) throws -> [UInt8] {
        let raw = try #require(Base64URL.decode(signature.utf8))
        let numbers = [raw[..<32], raw[32...]].flatMap { half in
            let digits = Array(half.drop { $0 == 0 })
            let body = digits.first.map { $0 >= 0x80 } ?? true ? [0] + digits : digits
            return [2, UInt8(body.count)] + body
        }
        return [0x30, UInt8(numbers.count)] + numbers
    }

    private func kid(_ token: String) throws -> String {
        let header = try #require(token.split(separator: ".").first)
        var fields = try JSONReader(JSON(parsing: try #require(Base64URL.decode(header.utf8))))
        return try fields.string("kid")
    }

    private func forge(_ token: String, header: String) throws -> String {
        let parts = token.split(separator: ".")
        return "\(Base64URL.encode(header.utf8)).\(parts[1]).\(parts[2])"
    }

    private func forge(_ token: String, replacing old: String, with new: String) throws -> String {
        let parts = token.split(separator: ".")
        let claims = String(decoding: try #require(Base64URL.decode(parts[1].utf8)), as: UTF8.self)
        try #require(claims.contains(old))
        return "\(parts[0]).\(Base64URL.encode(claims.replacing(old, with: new).utf8)).\(parts[2])"
    }
}
