internal import Crypto
internal import FoundationEssentials

/// Seals small secrets for the database under the installation's own: AES-256-GCM, a key for each purpose.
package struct Seal: Sendable {
    private let keys: [SymmetricKey]

    /// - Parameters:
    ///   - secrets: the first seals, each may open; without any nothing can be sealed.
    ///   - purpose: what is sealed for one purpose opens for no other.
    package init(secrets: [[UInt8]], purpose: String) {
        keys = secrets.map { secret in
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: secret), info: Array(purpose.utf8), outputByteCount: 32
            )
        }
    }

    package var canSeal: Bool { !keys.isEmpty }

    /// - Parameter label: what it belongs to; it opens with the same label only.
    /// - Throws: what the cipher throws. A programming error unless `canSeal`.
    package func seal(_ secret: [UInt8], label: String) throws -> [UInt8] {
        guard let key = keys.first else { preconditionFailure("Nothing can be sealed without a secret.") }
        let sealed = try AES.GCM.seal(secret, using: key, authenticating: Array(label.utf8))
        guard let box = sealed.combined else { preconditionFailure("A nonce of 12 bytes makes a combined box.") }
        return Array(box)
    }

    /// Nil when none of the secrets sealed it, or not under this label.
    package func open(_ sealed: [UInt8], label: String) -> [UInt8]? {
        for key in keys {
            do {
                return Array(
                    try AES.GCM.open(
                        AES.GCM.SealedBox(combined: sealed), using: key, authenticating: Array(label.utf8)))
            } catch {
                continue
            }
        }
        return nil
    }
}
