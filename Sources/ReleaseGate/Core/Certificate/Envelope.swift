/// DSSE, the Dead Simple Signing Envelope: what exactly is signed, and what is stored.
package enum Envelope {
    package static let statementType = "application/vnd.in-toto+json"

    /// The pre-authentication encoding: `DSSEv1`, then type and payload with their lengths, so that neither can pass
    /// for the other.
    package static func signedBytes(type: String, payload: [UInt8]) -> [UInt8] {
        Array("DSSEv1 \(type.utf8.count) \(type) \(payload.count) ".utf8) + payload
    }
}
