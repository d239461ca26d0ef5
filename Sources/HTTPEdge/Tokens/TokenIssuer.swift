package import Contracts
internal import Crypto
package import FoundationEssentials

/// Issues short-lived tokens, signed with the installation's current key (ES256).
package struct TokenIssuer: Sendable {
    package static let lifetimeDefault: TimeInterval = 900

    private let keyring: SigningKeyring
    private let issuer: String
    private let audience: String
    private let lifetime: TimeInterval

    /// - Parameter lifetime: at most an hour: the keys' grace is counted on it.
    package init(
        keyring: SigningKeyring, issuer: String, audience: String, lifetime: TimeInterval = lifetimeDefault
    ) {
        precondition((60...3600).contains(lifetime), "Tokens live from a minute to an hour.")
        self.keyring = keyring
        self.issuer = issuer
        self.audience = audience
        self.lifetime = lifetime
    }

    package struct Issued: Sendable {
        package let token: String
        package let expiresInSeconds: Int
    }

    /// - Throws: 503 when this installation has no key to sign with.
    package func issue(to principal: Principal, now: Date = Date()) async throws -> Issued {
        var signer = keyring.signer(now: now)
        if signer == nil {
            try await keyring.keepUp(now: now)
            signer = keyring.signer(now: now)
        }
        guard let signer, let key = signer.privateKey else {
            throw Problem(.unavailable, "This installation issues no tokens: it has no GOLDEN_JWT_SECRET.")
        }
        let header = JSONWriter.object { writer in
            writer.field("alg", "ES256")
            writer.field("typ", "JWT")
            writer.field("kid", signer.record.id)
        }
        let seconds = Int(now.timeIntervalSince1970)
        let claims = JSONWriter.object { writer in
            writer.field("iss", issuer)
            writer.field("aud", audience)
            writer.field("sub", principal.subject)
            writer.field("role", principal.role.rawValue)
            writer.field("tenant", principal.tenant.text)
            // To the millisecond, so that a token issued after its holder was let in again is told from those before.
            writer.field("iat", (now.timeIntervalSince1970 * 1000).rounded(.up) / 1000)
            writer.field("exp", seconds + Int(lifetime))
            writer.field("jti", Hexadecimal.text(UInt64.random(in: .min ... .max)))
        }
        let signed = Base64URL.encode(header.bytes) + "." + Base64URL.encode(claims.bytes)
        let signature = try key.signature(for: Array(signed.utf8))
        return Issued(
            token: signed + "." + Base64URL.encode(signature.rawRepresentation), expiresInSeconds: Int(lifetime)
        )
    }
}
