internal import Contracts
internal import ReleaseGateCore

extension GateSession {
    /// Everything that `release.yaml` names as attestations, each verified by a key of `gate.yaml`; the documents are
    /// kept beside the promotion.
    func attestations(
        of release: ReleaseFile, into documents: inout [LineageDocument]
    ) throws(GateError) -> [Attestation] {
        guard let trust = configuration.supplyChain else { return [] }
        let chain = try SupplyChain(trust, folder: configuration.folder)
        var attestations: [Attestation] = []
        for place in release.attestations {
            for path in try Self.files(at: place) {
                for json in try SupplyChain.documents(in: path) {
                    attestations += try chain.read(json, from: path)
                    documents.append(LineageDocument(.attestation, Array(json.bytes)))
                }
            }
        }
        return attestations
    }

    /// What the release must come from.
    func origin(of release: ReleaseFile) -> SupplyChainRules.Origin {
        SupplyChainRules.Origin(commit: release.commit, repository: configuration.supplyChain?.source)
    }

    /// Checks signatures and provenance alone.
    package func verifyAttestations(_ release: ReleaseFile) throws(GateError) {
        var documents: [LineageDocument] = []
        let ruling = SupplyChainRules.judge(
            release.train, attestations: try attestations(of: release, into: &documents),
            origin: origin(of: release))
        for line in ruling.lines { console.print(line) }
        try refuse(ruling.refusals, "\(release.train.version) is not attested as it must be")
    }

    /// Signs a release's images and how they were built; for builds that have no cosign.
    package func attest(
        _ release: ReleaseFile, builder: String, source: String, keyFile: String, out: String
    ) throws {
        guard let commit = release.commit else {
            throw GateError(.invalid, "release.yaml names no commit that this was built from.")
        }
        let text = try SupplyChain.attest(
            release.train, builder: builder, source: Attestation.Source(uri: source, commit: commit),
            key: try ReleaseKey(file: keyFile))
        try GateFiles.makeFolder(GateConfiguration.folder(of: out))
        try GateFiles.create(out, text.utf8)
        let count = release.train.cars.count
        console.print("\(count) images and the build of \(release.train.version) are signed: \(out).")
    }

    /// A file, or the attestations in a folder.
    private static func files(at place: String) throws(GateError) -> [String] {
        guard GateFiles.isFolder(place) else { return [place] }
        return try GateFiles.names(in: place).filter { $0.hasSuffix(".json") || $0.hasSuffix(".jsonl") }
            .map { "\(place)/\($0)" }
    }
}
