internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate verify`
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check a signed file, the whole lineage, or the release's tag.",
        discussion: """
            Ends with 2 and names what was changed: a signature, an entry, a document.

            EXAMPLES:
              release-gate verify certificate.json
              release-gate verify certificate.json --key release.pub
              release-gate verify --lineage
              release-gate verify --tag . --release release.yaml
            """)

    @OptionGroup var gate: GateOptions

    @Argument(help: "A DSSE envelope.")
    var file: String?

    @Option(help: "A public key's file, instead of those in gate.yaml.")
    var key: String?

    @Flag(help: "Check every entry and every document that one names.")
    var lineage = false

    @Option(help: "The Git repository whose annotated tag v<version> must point at release.yaml's commit.")
    var tag: String?

    @Option(help: "With --tag: what is released.")
    var release = "release.yaml"

    func validate() throws {
        guard [file != nil, lineage, tag != nil].count(where: { $0 }) == 1 else {
            throw ValidationError("Give a file, --lineage or --tag.")
        }
    }

    func run() async throws {
        let (file, key, tag) = (file, key, tag)
        let tagged = tag == nil ? nil : try ReleaseFile(file: release)
        try await gate.run { session in
            if let tag, let release = tagged { return try await session.verifyTag(release, repository: tag) }
            if let file { try await session.verify(file, keyFile: key) } else { try await session.verifyLineage() }
        }
    }
}
