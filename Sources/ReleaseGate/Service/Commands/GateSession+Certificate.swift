internal import Bootstrap
internal import Contracts
internal import Foundation
internal import ReleaseGateCore

extension GateSession {
    /// Certifies a sealed release: a signed statement, a SLSA summary, the customer's text, and a ConfigMap of both.
    ///
    /// - Parameter resources: `Deployments=5 (orchestrator, …)`, as counted after the release.
    package func certificate(
        _ release: ReleaseFile, environment name: String, keyFile: String, signer: String, resources: [String],
        out folder: String
    ) async throws {
        let environment = try Self.environment(name)
        var counted: [CertificateStatement.Resource] = []
        for text in resources {
            let halves = text.split(separator: "=", maxSplits: 1)
            guard halves.count == 2 else { throw GateError(.invalid, "\(text) is not KIND=SUMMARY.") }
            counted.append(CertificateStatement.Resource(kind: String(halves[0]), summary: String(halves[1])))
        }
        _ = try await book.verify()
        let statement = try CertificateBuilder.statement(
            release: release, environment: environment, namespace: try configuration.namespace(of: environment),
            entries: try await book.entries(), resources: counted, signer: signer)
        let key = try ReleaseKey(file: keyFile)
        var envelope = DSSEEnvelope(payloadType: DSSEEnvelope.inToto, payload: statement.closure())
        try envelope.sign(with: key)
        var summary = DSSEEnvelope(
            payloadType: DSSEEnvelope.inToto,
            payload: statement.verificationSummary(version: Bootstrap.Version.current))
        try summary.sign(with: key)
        try GateFiles.makeFolder(folder)
        let text = statement.text
        let files = [
            ("certificate.json", envelope.json.text + "\n"), ("summary.json", summary.json.text + "\n"),
            ("certificate.txt", text),
            ("configmap.yaml", statement.configMap),
        ]
        for (file, content) in files { try GateFiles.replace("\(folder)/\(file)", with: content.utf8) }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) { console.print(String(line)) }
        console.note("Written to \(folder): \(files.map(\.0).joined(separator: ", ")).")
    }

    /// Proves that an entry is in the lineage to whoever has a signed checkpoint.
    package func proof(_ sequence: Int) async throws {
        let entries = try await book.entries()
        guard entries.indices.contains(sequence) else {
            throw GateError(.invalid, "There is no entry \(sequence): the lineage has \(entries.count).")
        }
        let tree = try Lineage.tree(entries)
        let leaf = MerkleTree.leafHash(try Canonical.bytes(entries[sequence]))
        console.print(
            JSONWriter.object { writer in
                writer.field("sequence", sequence)
                writer.field("size", entries.count)
                writer.field("leaf", leaf.hexadecimal)
                writer.field("proof", (tree.inclusionProof(of: sequence) ?? []).map(\.hexadecimal))
                writer.field("root", tree.root.hexadecimal)
            }.text)
    }

    /// A signed checkpoint of the whole lineage (C2SP tlog-checkpoint).
    package func checkpoint(keyFile: String, origin: String) async throws {
        let entries = try await book.entries()
        let checkpoint = Checkpoint(origin: origin, size: entries.count, root: try Lineage.tree(entries).root)
        let key = try ReleaseKey(file: keyFile)
        let signature = try key.sign(Array(checkpoint.body.utf8))
        let note = checkpoint.note(keyName: origin, publicKey: key.publicKey.raw, signature: signature)
        console.print(String(note.dropLast()))
    }

    /// Judges a sealed release again, and revokes its right to be promoted when it is bad.
    ///
    /// - Returns: the exit code that stands for the outcome.
    package func reverify(_ release: ReleaseFile, environment name: String, at: Int?) async throws -> Int32 {
        let environment = try Self.environment(name)
        let state = WalkState(try await book.entries(), environment: environment, version: release.train.version)
        _ = try state.verifiedSeal(of: release, in: environment)
        let now = at ?? nowSeconds
        if let next = state.successors.map(\.event).first(where: { $0.atSeconds <= now }) {
            throw GateError(
                .refused,
                "\(next.version) is sealed in \(environment.rawValue) since \(Self.text(next.atSeconds)): what is seen "
                    + "there since then is not of \(release.train.version). Nothing was recorded or revoked.",
                next: "Verify \(next.version) with its release.yaml, or give --at a time before its seal.")
        }
        if at == nil { try await look(at: Self.date(now)) }
        var question = Question()
        question.step = configuration.policy.stepPercents.count
        let record = try await judge(release, environment, question, at: now)
        let outcome = record.decision.outcome
        for line in record.decision.lines { console.print(line) }
        let documents = try record.documents()
        func event(_ kind: LineageEntry.Kind, _ reason: String) -> LineageEntry.Event {
            LineageEntry.Event(
                atSeconds: now, environment: environment, version: release.train.version,
                digests: release.train.digests, kind: kind, actor: actor, decision: outcome, reason: reason,
                evidenceSHA256: documents[0].sha256, policySHA256: documents[1].sha256)
        }
        try await book.record(event(.verification, record.headline), naming: documents)
        if record.decision.showsBad {
            try await book.record(event(.revocation, record.headline), naming: documents)
            console.print("Its right to be promoted from \(environment.rawValue) is revoked.")
        } else if outcome.exitCode != 0 {
            console.print("That verifies nothing, and revokes nothing. Look at what it names, and run it again.")
        }
        return outcome.exitCode
    }
}
