package import FoundationEssentials

/// What tokens are trusted, and until when.
package struct TokenConfiguration: Sendable {
    package var issuer: String
    package var audience: String
    /// HS256 secrets; the first is current, the others are still accepted (rotation).
    package var secrets: [[UInt8]]
    /// A file with a JWK set (RFC 7517) of public RS256, ES256 or EdDSA keys, each with a `kid`.
    package var keySetFile: String?
    /// How far clocks may differ.
    package var leeway: TimeInterval = 60
    /// An unknown `kid` makes the file be read again at most this often.
    package var rereadInterval: TimeInterval = 10
    /// The file is read again after this long in any case, and a verified token is verified again, so that a key
    /// taken out of the file stops counting.
    package var trustInterval: TimeInterval = 300
    package var tokenBytesMax = 8192
    /// Verified tokens kept.
    package var cacheMax = 10_000

    package init(
        issuer: String = "golden", audience: String = "golden-api", secrets: [[UInt8]] = [], keySetFile: String? = nil
    ) {
        self.issuer = issuer
        self.audience = audience
        self.secrets = secrets
        self.keySetFile = keySetFile
    }

    /// - Throws: when no key is configured or a secret is too easy to guess.
    package func validate() throws(EdgeError) {
        if secrets.isEmpty, keySetFile == nil {
            throw EdgeError(.noKeys, "No key verifies tokens: set GOLDEN_JWT_SECRET, its _FILE, or GOLDEN_JWKS_FILE.")
        }
        for secret in secrets { try Self.validate(secret: secret) }
    }

    /// Bytes a secret needs at least, as many as the hash it keys (RFC 7518, section 3.2).
    package static let secretBytesMin = 32
    /// Different byte values a secret needs at least.
    package static let secretVarietyMin = 8
    /// Words that stand in examples, and so in attackers' lists.
    package static let defaultWords = [
        "secret", "changeme", "change-me", "change_me", "password", "default", "example", "golden", "test", "jwt",
        "key",
        "your", "my", "super", "dev", "please", "replace", "this", "the", "a", "in", "production", "0", "1", "2", "3",
        "4", "5", "6", "7", "8", "9", "-", "_", " ", ".",
    ]

    package static func validate(secret: [UInt8]) throws(EdgeError) {
        guard secret.count >= secretBytesMin else {
            throw EdgeError(.weakSecret, "The JWT secret must have at least \(secretBytesMin) bytes.")
        }
        guard Set(secret).count >= secretVarietyMin, !repeatsItself(secret) else {
            throw EdgeError(.weakSecret, "The JWT secret repeats itself; make one with `openssl rand -base64 48`.")
        }
        var rest = String(decoding: secret, as: UTF8.self).lowercased()
        for word in defaultWords { rest = rest.replacing(word, with: "") }
        guard rest.utf8.count >= 8 else {
            throw EdgeError(.weakSecret, "The JWT secret is made of words from examples; take a random one.")
        }
    }

    /// A short pattern written again and again.
    private static func repeatsItself(_ secret: [UInt8]) -> Bool {
        (1...(secret.count / 2)).contains { period in
            period <= 16 && secret.indices.dropFirst(period).allSatisfy { secret[$0] == secret[$0 - period] }
        }
    }
}
