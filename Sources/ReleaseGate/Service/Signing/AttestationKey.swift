internal import Contracts
internal import Crypto

/// A public key whose signatures on images and builds count: Ed25519 as the gate makes them, or ECDSA over P-256 and
/// SHA-256 as cosign does.
package struct AttestationKey: Sendable, Equatable {
    private enum Form: Sendable, Equatable {
        case ed25519(ReleasePublicKey)
        /// The point, uncompressed.
        case p256([UInt8])
    }

    private let form: Form
    /// SHA-256 of the key's DER.
    package let id: String

    package init(file path: String) throws(GateError) {
        let text = try GateFiles.text(path)
        // A P-256 key's DER is longer than an Ed25519 one's: neither can be taken for the other.
        do {
            let key = try P256.Signing.PublicKey(pemRepresentation: text)
            form = .p256(Array(key.x963Representation))
            id = Hexadecimal.text(bytes: SHA256.hash(data: key.derRepresentation))
        } catch {
            let key: ReleasePublicKey
            do { key = try ReleasePublicKey(pem: text, from: path) } catch {
                throw GateError(
                    .invalid, "\(path) holds no public key of Ed25519 or P-256 in PEM.",
                    next: "release-gate keygen --out KEY, or cosign generate-key-pair.")
            }
            form = .ed25519(key)
            id = key.id
        }
    }

    package func verifies(_ signature: [UInt8], over message: [UInt8]) -> Bool {
        switch form {
        case .ed25519(let key): return key.verifies(signature, over: message)
        case .p256(let point):
            do {
                return try P256.Signing.PublicKey(x963Representation: point)
                    .isValidSignature(P256.Signing.ECDSASignature(derRepresentation: signature), for: message)
            } catch {
                // The key was read before: what cannot be read is the signature.
                return false
            }
        }
    }
}
