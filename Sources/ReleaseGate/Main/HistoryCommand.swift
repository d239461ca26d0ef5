internal import ArgumentParser
internal import ReleaseGateService

/// `release-gate history`
struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show everything that ever happened to releases, after checking it.",
        discussion: """
            EXAMPLES:
              release-gate history
              release-gate history --jsonl > lineage.jsonl
              release-gate history --proof 41
              release-gate history --checkpoint keys/release
              helm history golden -o json > helm.json; release-gate history --import helm.json --env prod
            """)

    @OptionGroup var gate: GateOptions

    @Flag(help: "One entry a line, with its hash.")
    var jsonl = false

    @Option(help: "Prove that this entry is in the lineage: its Merkle proof, as JSON.")
    var proof: Int?

    @Option(help: "Print a checkpoint of the lineage, signed with this private key.")
    var checkpoint: String?

    @Option(help: "Whose lineage a checkpoint is of.")
    var origin = "golden/release-lineage"

    @Option(name: .customLong("import"), help: "Add what `helm history -o json` remembers.")
    var helm: String?

    @Option(help: "The environment of what is imported.")
    var env = "prod"

    func run() async throws {
        let (helm, environment, isLines, proof, checkpoint, origin) = (helm, env, jsonl, proof, checkpoint, origin)
        try await gate.run { session in
            if let proof { return try await session.proof(proof) }
            if let checkpoint { return try await session.checkpoint(keyFile: checkpoint, origin: origin) }
            if let helm { return try await session.importHelm(helm, environment: environment) }
            try await session.history(isLines ? .jsonl : .table)
        }
    }
}
