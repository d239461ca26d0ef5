internal import Contracts
internal import Foundation
internal import ReleaseGateCore

extension GateSession {
    package enum HistoryForm: Sendable { case table, jsonl }

    /// Shows the lineage, after it was checked.
    package func history(_ form: HistoryForm) async throws {
        let entries = try await book.entries()
        switch form {
        case .jsonl:
            for entry in entries {
                let record = LineageRecord(entry: try Canonical.bytes(entry), sha256: try entry.sha256())
                console.print(String(FolderLineage.line(record).dropLast()))
            }
        case .table:
            let rows = entries.map { entry in
                [
                    "\(entry.sequence)", Self.text(entry.event.atSeconds), entry.event.environment.rawValue,
                    entry.event.version.description, entry.event.kind.rawValue,
                    entry.event.decision?.rawValue ?? "-", entry.event.actor, entry.event.reason,
                ]
            }
            console.table(["SEQ", "AT", "ENV", "VERSION", "WHAT", "DECISION", "BY", "WHY"], rows)
        }
    }

    /// Checks everything that was recorded, and says how much that was.
    ///
    /// - Parameters:
    ///   - checkpoint: a signed checkpoint's file: the lineage must begin with what that one commits to.
    ///   - keyFile: the public key that signed it, instead of those in `gate.yaml`.
    /// - Throws: `tampered` when something was changed, or taken off since the checkpoint.
    package func verifyLineage(checkpoint path: String? = nil, keyFile: String? = nil) async throws {
        let checked = try await book.verify()
        if let path {
            let checkpoint = try self.checkpoint(in: path, keys: try publicKeys(keyFile))
            guard try Lineage.grew(from: checkpoint.size, root: checkpoint.root, to: try await book.entries()) else {
                throw GateError(
                    .tampered,
                    "\(path) commits to \(checkpoint.size) entries that the lineage of \(checked.entries) does not "
                        + "begin with: some were taken off or exchanged.")
            }
            console.print("It begins with the \(checkpoint.size) entries of \(path).")
        }
        console.print("The lineage holds: \(checked.entries) entries, \(checked.documents) documents.")
    }

    /// A checkpoint that one of the keys signed, under the log's own name.
    private func checkpoint(in path: String, keys: [ReleasePublicKey]) throws(GateError) -> Checkpoint {
        let note = try GateFiles.text(path)
        let name = String(note.prefix { $0 != "\n" })
        for key in keys {
            guard let opened = Checkpoint.open(note: note, keyName: name, publicKey: key.raw),
                key.verifies(opened.signature, over: Array(opened.checkpoint.body.utf8))
            else { continue }
            return opened.checkpoint
        }
        throw GateError(.tampered, "\(path) is no checkpoint that a key which was given has signed.")
    }

    /// Adds what Helm remembers and the lineage does not.
    package func importHelm(_ path: String, environment name: String) async throws {
        let environment = try Self.environment(name)
        let bytes = try GateFiles.read(path)
        let json: JSON
        do { json = try JSON(parsing: bytes) } catch {
            throw GateError(.invalid, "\(path) is no JSON.", next: "helm history RELEASE -o json", underlying: error)
        }
        let known = Set(
            try await book.entries().filter { $0.event.kind == .imported && $0.event.environment == environment }
                .map { [$0.event.revision ?? "", $0.event.version.description, "\($0.event.atSeconds)"] })
        var added = 0
        for event in try HelmHistory.events(json, environment: environment, actor: actor) {
            guard !known.contains([event.revision ?? "", event.version.description, "\(event.atSeconds)"]) else {
                continue
            }
            try await book.record(event)
            added += 1
        }
        console.print("\(added) revisions were added; the others were there.")
    }

    /// Makes recorded decisions again from what they depended on.
    ///
    /// - Parameter sequence: one decision's entry; all when nil.
    /// - Returns: false when one differs; each such is named.
    package func replay(_ sequence: Int?) async throws -> Bool {
        let decisions = try await book.entries().filter { $0.event.kind == .decision }
        let chosen = decisions.filter { sequence == nil || $0.sequence == sequence }
        guard !chosen.isEmpty else {
            throw GateError(.invalid, sequence.map { "Entry \($0) is no decision." } ?? "No decision is recorded.")
        }
        var differing = 0
        for entry in chosen {
            let record = try await decisionRecord(of: entry)
            let again = DecisionRecord(input: record.input, decision: Gate.decide(record.input))
            if try Canonical.bytes(again) == Canonical.bytes(record) { continue }
            differing += 1
            console.print(
                "Entry \(entry.sequence) differs: it was \(record.decision.outcome.rawValue) "
                    + "(\(record.decision.row.rawValue)), and is \(again.decision.outcome.rawValue) "
                    + "(\(again.decision.row.rawValue)).")
        }
        console.print("\(chosen.count - differing) of \(chosen.count) decisions are the same, byte for byte.")
        return differing == 0
    }

    /// - Throws: `tampered` when evidence, policy or entry do not fit each other.
    func decisionRecord(of entry: LineageEntry) async throws -> DecisionRecord {
        guard let evidence = entry.event.evidenceSHA256, let policy = entry.event.policySHA256 else {
            throw GateError(.tampered, "Entry \(entry.sequence) names no evidence or no policy.")
        }
        let bytes = try await book.document(evidence, what: "The evidence of entry \(entry.sequence),")
        let rules = try await book.document(policy, what: "The policy of entry \(entry.sequence),")
        let record: DecisionRecord
        do { record = try Canonical.decode(DecisionRecord.self, from: bytes) } catch {
            throw GateError(.tampered, "The evidence of entry \(entry.sequence) cannot be read.", underlying: error)
        }
        guard try Canonical.bytes(record.input.policy) == rules, record.decision.outcome == entry.event.decision,
            record.input.version == entry.event.version, record.input.environment == entry.event.environment
        else { throw GateError(.tampered, "Entry \(entry.sequence) and its evidence are of different decisions.") }
        return record
    }
}
