internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate verify`
struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Check a signed file, or the whole lineage.",
        discussion: """
            Ends with 2 and names what was changed: a signature, an entry, a document.

            EXAMPLES:
              release-gate verify certificate.json
              release-gate verify certificate.json --key release.pub
              release-gate verify --lineage
            """)

    @OptionGroup var gate: GateOptions

    @Argument(help: "A DSSE envelope.")
    var file: String?

    @Option(help: "A public key's file, instead of those in gate.yaml.")
    var key: String?

    @Flag(help: "Check every entry and every document that one names.")
    var lineage = false

    func validate() throws {
        guard (file != nil) != lineage else { throw ValidationError("Give a file, or --lineage.") }
    }

    func run() async throws {
        let (file, key) = (file, key)
        try await gate.run { session in
            if let file { try await session.verify(file, keyFile: key) } else { try await session.verifyLineage() }
        }
    }
}
