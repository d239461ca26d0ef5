package import FoundationEssentials

/// One of the installation's own keys for tokens (ES256), as it is kept: the private half only sealed.
package struct SigningKeyRecord: Sendable, Equatable {
    /// The `kid`: `golden-` and 16 hexadecimal digits.
    package let id: String
    /// The point's x and y, 32 bytes each.
    package let publicKey: [UInt8]
    package let privateKeySealed: [UInt8]
    package let createdAt: Date
    package let signsFrom: Date
    /// From here on another key signs.
    package let signsUntil: Date
    /// From here on nothing that it signed is accepted.
    package let validUntil: Date

    package init(
        id: String, publicKey: [UInt8], privateKeySealed: [UInt8], createdAt: Date, signsFrom: Date, signsUntil: Date,
        validUntil: Date
    ) {
        self.id = id
        self.publicKey = publicKey
        self.privateKeySealed = privateKeySealed
        self.createdAt = createdAt
        self.signsFrom = signsFrom
        self.signsUntil = signsUntil
        self.validUntil = validUntil
    }
}
