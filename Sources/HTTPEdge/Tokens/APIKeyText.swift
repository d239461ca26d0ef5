internal import Crypto

/// An API key's text: `gk_`, 8 letters or digits that name it, `_`, and 256 random bits in base64url.
package struct APIKeyText: Sendable {
    package static let idBytes = 11
    private static let secretBytes = 32
    private static let letters = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    /// No secret: shown in lists, and what a token's subject names.
    package let id: String
    /// The whole key: shown once and kept nowhere.
    package let text: String

    /// A new key.
    package init() {
        var generator = SystemRandomNumberGenerator()
        let name = (0..<8).map { _ in Self.letters[Int.random(in: 0..<Self.letters.count, using: &generator)] }
        id = "gk_" + String(decoding: name, as: UTF8.self)
        text = id + "_" + Base64URL.encode(PasswordHash.random(Self.secretBytes))
    }

    /// Nil unless `text` has a key's form.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count > Self.idBytes + 1, bytes.starts(with: "gk_".utf8),
            bytes[3..<Self.idBytes].allSatisfy(Self.letters.contains), bytes[Self.idBytes] == UInt8(ascii: "_"),
            Base64URL.decode(bytes[(Self.idBytes + 1)...])?.count == Self.secretBytes
        else { return nil }
        id = String(decoding: bytes.prefix(Self.idBytes), as: UTF8.self)
        self.text = text
    }

    /// What is stored. The key is random enough that one round of SHA-256 cannot be turned back.
    package var hash: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }
}

/// A password for somebody who is to change it: 120 random bits in letters that are not mistaken for each other.
package enum GeneratedPassword {
    private static let letters = Array("23456789abcdefghjkmnpqrstuvwxyzA".utf8)

    /// Four groups of six.
    package static func make() -> String {
        let bytes = PasswordHash.random(24).map { letters[Int($0 & 31)] }
        return stride(from: 0, to: 24, by: 6)
            .map { String(decoding: bytes[$0..<($0 + 6)], as: UTF8.self) }.joined(separator: "-")
    }
}
