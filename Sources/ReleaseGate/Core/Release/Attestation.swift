/// What somebody signed about one artifact. Whoever makes one has verified its signature: the core takes it as data.
package struct Attestation: Sendable, Equatable, Codable {
    package enum Claim: Sendable, Equatable, Codable {
        /// This image, under this name, is ours (cosign's "simple signing").
        case image
        /// How it was built (SLSA provenance, version 1).
        case provenance(Provenance)
    }

    package struct Provenance: Sendable, Equatable, Codable {
        /// Who built it: the id that belongs to the key.
        package let builder: String
        /// What it was built from.
        package let sources: [Source]

        package init(builder: String, sources: [Source]) {
            self.builder = builder
            self.sources = sources
        }
    }

    /// A repository at a commit.
    package struct Source: Sendable, Equatable, Codable {
        /// Without `git+` before it and `@refs/…` after it.
        package let repository: String
        package let commit: String

        package init(uri: String, commit: String) {
            let bare = uri.hasPrefix("git+") ? uri.dropFirst(4) : uri[...]
            // An @ before the last slash is a user's: ssh://git@host/golden.
            let reference = bare.firstRange(of: "@refs/")?.lowerBound ?? bare.endIndex
            repository = String(bare[..<reference])
            self.commit = commit
        }
    }

    package let claim: Claim
    package let artifact: ArtifactDigest
    /// Whose key signed.
    package let keyID: String

    package init(_ claim: Claim, artifact: ArtifactDigest, keyID: String) {
        self.claim = claim
        self.artifact = artifact
        self.keyID = keyID
    }
}
