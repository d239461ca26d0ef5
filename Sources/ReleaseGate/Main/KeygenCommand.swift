internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate keygen`
struct KeygenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen", abstract: "Make an Ed25519 key pair to sign with.",
        discussion: """
            Writes KEY for its owner alone (mode 0600) and KEY.pub; neither may exist. openssl reads both.

            EXAMPLE:
              release-gate keygen --out keys/sre
            """)

    @Option(help: "The private key's file.")
    var out: String

    func run() throws {
        let key = ReleaseKey()
        try key.write(to: out)
        Console().print(key.publicKey.id)
        Console().note("Written: \(out) (keep it secret) and \(out).pub.")
    }
}
