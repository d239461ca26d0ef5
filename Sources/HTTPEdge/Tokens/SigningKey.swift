internal import Contracts
internal import Crypto
internal import FoundationEssentials

/// One of the installation's own keys, opened as far as its secret allows.
struct SigningKey: Sendable {
    private static let idPrefix = "golden-"

    /// Whether a token that names this key says that it was issued here.
    static func isID(_ text: String) -> Bool { text.hasPrefix(idPrefix) }

    let record: SigningKeyRecord
    /// Nil when another secret sealed it: then it verifies and does not sign.
    let privateKey: P256.Signing.PrivateKey?
    let verifier: TokenKeys.Key

    /// - Throws: when the public half is no point of the curve.
    init(_ record: SigningKeyRecord, secrets: [[UInt8]]) async throws {
        self.record = record
        verifier = try await TokenKeys.key(from: Self.jwk(record))
        privateKey = Self.open(record, secrets)
    }

    func signs(at now: Date) -> Bool { privateKey != nil && record.signsFrom <= now && now < record.signsUntil }

    func isValid(at now: Date) -> Bool { now < record.validUntil }

    /// The public half (RFC 7517).
    static func jwk(_ record: SigningKeyRecord) -> JSON {
        JSONWriter.object { writer in
            writer.field("kty", "EC")
            writer.field("crv", "P-256")
            writer.field("alg", "ES256")
            writer.field("use", "sig")
            writer.field("kid", record.id)
            writer.field("x", Base64URL.encode(record.publicKey.prefix(32)))
            writer.field("y", Base64URL.encode(record.publicKey.dropFirst(32)))
        }
    }

    /// A new key under a new id.
    static func make(
        sealedWith secret: [UInt8], now: Date, signsFrom: Date, signsUntil: Date, validUntil: Date
    ) throws -> SigningKeyRecord {
        let key = P256.Signing.PrivateKey()
        let id = idPrefix + Hexadecimal.text(UInt64.random(in: .min ... .max))
        let sealed = try seal([secret]).seal(Array(key.rawRepresentation), label: id)
        return SigningKeyRecord(
            id: id, publicKey: Array(key.publicKey.rawRepresentation), privateKeySealed: sealed, createdAt: now,
            signsFrom: signsFrom, signsUntil: signsUntil, validUntil: validUntil
        )
    }

    /// Nil when none of the secrets sealed it, or its halves do not belong together.
    static func open(_ record: SigningKeyRecord, _ secrets: [[UInt8]]) -> P256.Signing.PrivateKey? {
        guard let raw = seal(secrets).open(record.privateKeySealed, label: record.id) else { return nil }
        do {
            let key = try P256.Signing.PrivateKey(rawRepresentation: raw)
            // A public half put beside a foreign private one would have tokens signed that nobody accepts.
            return Array(key.publicKey.rawRepresentation) == record.publicKey ? key : nil
        } catch {
            return nil
        }
    }

    private static func seal(_ secrets: [[UInt8]]) -> Seal { Seal(secrets: secrets, purpose: "golden-signing-key-1") }
}
