/// Where what is released comes from: every image signed, chart and images built by a trusted builder from the commit
/// that is released. From staging on: what is promoted there is what production gets.
package enum SupplyChainRules {
    /// What is asked of attestations.
    package struct Origin: Sendable, Equatable {
        /// Of the release, as the file that describes it says; nil when it says none.
        package let commit: String?
        /// The repository that it must be of; nil for any.
        package let repository: String?

        package init(commit: String?, repository: String?) {
            self.commit = commit
            self.repository = repository
        }
    }

    package struct Ruling: Sendable, Equatable {
        package let refusals: [Refusal]
        package let lines: [String]
    }

    package static func judge(_ train: ReleaseTrain, attestations: [Attestation], origin: Origin) -> Ruling {
        var refusals: [Refusal] = []
        var lines: [String] = []
        let images = train.cars.map(\.image)
        let signed = attestations.filter { $0.claim == .image }.map(\.artifact)
        let bare = images.filter { !signed.contains($0) }
        refusals += bare.map { image in
            Refusal(.signature, "\(shown(image)): no trusted key signed it under this name")
        }
        if bare.isEmpty { lines.append("signatures: all \(images.count) images are signed") }
        let faults = train.artifacts.compactMap { artifact in
            fault(of: artifact, attestations, origin).map {
                Refusal(.provenance, "\(shown(artifact)): \($0)")
            }
        }
        refusals += faults
        if faults.isEmpty, let commit = origin.commit {
            lines.append("provenance: all \(train.artifacts.count) artifacts were built from \(commit)")
        }
        return Ruling(refusals: refusals, lines: lines)
    }

    /// Why nothing shows where an artifact comes from; nil when something does.
    private static func fault(
        of artifact: ArtifactDigest, _ attestations: [Attestation], _ origin: Origin
    ) -> String? {
        // By its bytes alone: builders name what they built in their own way.
        let builds = attestations.compactMap { attestation -> Attestation.Provenance? in
            guard case .provenance(let build) = attestation.claim, attestation.artifact.sha256 == artifact.sha256
            else { return nil }
            return build
        }
        guard !builds.isEmpty else { return "no trusted builder says how it was built" }
        guard let commit = origin.commit else { return "release.yaml names no commit that it could be built from" }
        let sources = builds.flatMap(\.sources)
        let ours = sources.filter { origin.repository == nil || $0.repository == origin.repository }
        if ours.contains(where: { $0.commit == commit }) { return nil }
        guard let other = ours.first else {
            let repositories = Set(sources.map(\.repository)).sorted().joined(separator: ", ")
            return "was built from \(repositories.isEmpty ? "no repository" : repositories)"
                + (origin.repository.map { ", not from \($0)" } ?? "")
        }
        return "was built from \(other.commit), released is \(commit)"
    }

    private static func shown(_ artifact: ArtifactDigest) -> String {
        "\(artifact.name)@sha256:\(artifact.sha256.prefix(12))…"
    }
}
