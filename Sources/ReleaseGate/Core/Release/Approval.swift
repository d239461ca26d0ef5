/// One person's yes to one plan, in one role. Whoever makes one has verified its signature: the core takes it as data.
package struct Approval: Sendable, Equatable, Codable {
    package enum Role: String, Sendable, Codable, CaseIterable, Comparable {
        case teamLead = "team_lead"
        case siteReliability = "sre"
        case techLead = "tech_lead"
        case security, operations
        case productOwner = "product_owner"

        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    package let role: Role
    /// Whose key signed: SHA-256 of the public key, in hexadecimal. One key speaks for one role only.
    package let keyID: String
    package let signer: String
    package let digests: [ArtifactDigest]
    package let planSHA256: String
    package let signedSeconds: Int
    package let expiresSeconds: Int

    package init(
        role: Role, keyID: String, signer: String, digests: [ArtifactDigest], planSHA256: String, signedSeconds: Int,
        expiresSeconds: Int
    ) {
        self.role = role
        self.keyID = keyID
        self.signer = signer
        self.digests = digests
        self.planSHA256 = planSHA256
        self.signedSeconds = signedSeconds
        self.expiresSeconds = expiresSeconds
    }
}
