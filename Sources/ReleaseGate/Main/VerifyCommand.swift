internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate verify`
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check a signed file, the whole lineage, or a release's tag or attestations.",
        discussion: """
            Ends with 2 and names what was changed: a signature, an entry, a document.

            EXAMPLES:
              release-gate verify certificate.json
              release-gate verify certificate.json --key release.pub
              release-gate verify --lineage
              release-gate verify --lineage --checkpoint checkpoint.txt --key release.pub
              release-gate verify --tag . --release release.yaml
              release-gate verify --attestations --release release.yaml
            """)

    @OptionGroup var gate: GateOptions

    @Argument(help: "A DSSE envelope.")
    var file: String?

    @Option(help: "A public key's file, instead of those in gate.yaml.")
    var key: String?

    @Flag(help: "Check every entry and every document that one names.")
    var lineage = false

    @Option(help: "With --lineage: a signed checkpoint, which the lineage must begin with.")
    var checkpoint: String?

    @Option(help: "The Git repository whose annotated tag v<version> must point at release.yaml's commit.")
    var tag: String?

    @Flag(help: "Check the signatures of release.yaml's images, and what it was built from.")
    var attestations = false

    @Option(help: "With --tag or --attestations: what is released.")
    var release = "release.yaml"

    func validate() throws {
        guard [file != nil, lineage, tag != nil, attestations].count(where: { $0 }) == 1 else {
            throw ValidationError("Give a file, --lineage, --tag or --attestations.")
        }
        if checkpoint != nil, !lineage { throw ValidationError("--checkpoint goes with --lineage.") }
    }

    func run() async throws {
        let (file, key, tag, checkpoint) = (file, key, tag, checkpoint)
        let release = tag == nil && !attestations ? nil : try ReleaseFile(file: release)
        try await gate.run { session in
            if let tag, let release { return try await session.verifyTag(release, repository: tag) }
            if let release { return try session.verifyAttestations(release) }
            if let file { return try await session.verify(file, keyFile: key) }
            try await session.verifyLineage(checkpoint: checkpoint, keyFile: key)
        }
    }
}
