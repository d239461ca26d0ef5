internal import Contracts
package import ReleaseGateCore

/// A closure certificate as others hand it in: read only with its signature verified.
package struct SealedCertificate: Sendable, Equatable {
    /// What it says was sealed, and where.
    package let seal: PromotionRequest.Seal
    /// How long the lineage was with the seal, and its Merkle root then.
    package let lineageSize: Int
    package let lineageRoot: Digest
    /// The manifests are rendered for each environment, and are no part of what is promoted.
    private static let manifests = "manifests"
    private static let subjectsMax = 1000

    /// - Throws: `tampered` when no key signed it, `invalid` when it is something else.
    package init(file path: String, keys: [ReleasePublicKey]) throws(GateError) {
        let envelope = try DSSEEnvelope(file: path)
        try envelope.verify(with: keys, what: path)
        do {
            (seal, lineageSize, lineageRoot) = try Self.parts(try JSON(parsing: envelope.payload))
        } catch {
            throw GateError(.invalid, "\(path) is no closure certificate.", underlying: error)
        }
    }

    private static func parts(_ json: JSON) throws -> (PromotionRequest.Seal, size: Int, root: Digest) {
        var reader = try JSONReader(json)
        guard try reader.string("predicateType") == CertificateStatement.closureType else {
            throw reader.error("predicateType", "must be \(CertificateStatement.closureType)")
        }
        var predicate = try JSONReader(try reader.required("predicate"), path: "predicate")
        var release = try JSONReader(try predicate.required("release"), path: "predicate.release")
        guard let version = Version(try release.string("version")),
            let environment = DeployEnvironment(rawValue: try release.string("environment"))
        else { throw release.error("version", "or environment is unknown") }
        var artifacts: [ArtifactDigest] = []
        for var subject in try reader.optionalObjects("subject", atMost: subjectsMax) ?? [] {
            var digest = try JSONReader(try subject.required("digest"), path: "digest")
            let name = try subject.string("name")
            guard let artifact = ArtifactDigest(name: name, sha256: try digest.string("sha256")) else {
                throw subject.error("digest", "is no SHA-256")
            }
            if name != manifests { artifacts.append(artifact) }
        }
        var lineage = try JSONReader(try predicate.required("lineage"), path: "predicate.lineage")
        let size = try lineage.int("size")
        guard size >= 0, let root = Digest(hexadecimal: try lineage.string("rootSha256")) else {
            throw lineage.error("rootSha256", "or size is none")
        }
        return (PromotionRequest.Seal(environment: environment, version: version, artifacts: artifacts), size, root)
    }
}
