internal import Contracts
internal import Crypto

/// An Ed25519 key that signs decisions (RFC 8032). Its text form is PKCS #8 in PEM, as openssl writes it (RFC 8410).
package struct ReleaseKey: Sendable {
    private let key: Curve25519.Signing.PrivateKey

    package var publicKey: ReleasePublicKey { ReleasePublicKey(key: key.publicKey) }

    /// A new one.
    package init() { key = Curve25519.Signing.PrivateKey() }

    package init(pem: String, from path: String) throws(GateError) {
        let seed = try PEM.decode(pem, label: Self.label, prefix: Self.prefix, from: path)
        do { key = try Curve25519.Signing.PrivateKey(rawRepresentation: seed) } catch {
            throw GateError(.invalid, "\(path) holds no Ed25519 key.")
        }
    }

    /// Reads a key's file, which nobody but its owner may read.
    package init(file path: String) throws(GateError) {
        let text = try GateFiles.text(path)
        let mode = try GateFiles.mode(of: path)
        guard mode & 0o077 == 0 else {
            throw GateError(
                .invalid, "Others may read the key \(path) (mode \(String(mode, radix: 8))).",
                next: "chmod 600 \(path), and make a new key if anybody may have read this one.")
        }
        try self.init(pem: text, from: path)
    }

    /// Writes `<path>` for its owner alone and `<path>.pub` for everybody. Neither may exist.
    package func write(to path: String) throws(GateError) {
        guard !GateFiles.exists(path + ".pub") else {
            throw GateError(.invalid, "\(path).pub exists already; nothing was written.")
        }
        try GateFiles.create(
            path, PEM.encode(Self.prefix + key.rawRepresentation, label: Self.label).utf8, mode: 0o600)
        try GateFiles.create(path + ".pub", publicKey.pem.utf8)
    }

    package func sign(_ message: [UInt8]) throws(GateError) -> [UInt8] {
        do { return Array(try key.signature(for: message)) } catch {
            throw GateError(.invalid, "The key could not sign.", underlying: error)
        }
    }

    private static let label = "PRIVATE KEY"
    /// DER up to the seed: version 0, the algorithm 1.3.101.112, two nested octet strings.
    private static let prefix: [UInt8] = [
        0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
    ]
}

/// A key never shows itself, whatever prints it.
extension ReleaseKey: CustomStringConvertible, CustomReflectable {
    package var description: String { "the private key of \(publicKey.id)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The half of a key that verifies. Its text form is SubjectPublicKeyInfo in PEM (RFC 8410).
package struct ReleasePublicKey: Sendable, Equatable {
    let raw: [UInt8]

    fileprivate init(key: Curve25519.Signing.PublicKey) { raw = Array(key.rawRepresentation) }

    package init(pem: String, from path: String) throws(GateError) {
        raw = try PEM.decode(pem, label: Self.label, prefix: Self.prefix, from: path)
        do { _ = try Curve25519.Signing.PublicKey(rawRepresentation: raw) } catch {
            throw GateError(.invalid, "\(path) holds no Ed25519 public key.")
        }
    }

    package init(file path: String) throws(GateError) {
        try self.init(pem: try GateFiles.text(path), from: path)
    }

    /// SHA-256 of the key's DER: what signatures name it by.
    package var id: String { Hexadecimal.text(bytes: SHA256.hash(data: Self.prefix + raw)) }

    package var pem: String { PEM.encode(Self.prefix + raw, label: Self.label) }

    package func verifies(_ signature: [UInt8], over message: [UInt8]) -> Bool {
        do {
            return try Curve25519.Signing.PublicKey(rawRepresentation: raw)
                .isValidSignature(signature, for: message)
        } catch {
            // `init` has read these bytes as a key already.
            return false
        }
    }

    private static let label = "PUBLIC KEY"
    private static let prefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]
}

/// The text form of one DER value whose start never changes (RFC 7468).
private enum PEM {
    private static let keyBytes = 32

    static func encode(_ der: [UInt8], label: String) -> String {
        "-----BEGIN \(label)-----\n\(Base64.encode(der))\n-----END \(label)-----\n"
    }

    /// The 32 bytes after `prefix`.
    static func decode(
        _ text: String, label: String, prefix: [UInt8], from path: String
    ) throws(GateError) -> [UInt8] {
        let lines = text.split(whereSeparator: \.isNewline)
        guard let begin = lines.firstIndex(of: "-----BEGIN \(label)-----"),
            let end = lines.firstIndex(of: "-----END \(label)-----"), begin < end,
            let der = Base64.decode(lines[(begin + 1)..<end].joined()),
            der.count == prefix.count + keyBytes, der.starts(with: prefix)
        else {
            throw GateError(
                .invalid, "\(path) holds no Ed25519 \(label.lowercased()) in PEM.",
                next: "release-gate keygen --out KEY makes a pair.")
        }
        return Array(der.dropFirst(prefix.count))
    }
}
