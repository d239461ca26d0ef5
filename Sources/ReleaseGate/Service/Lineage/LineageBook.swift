internal import Contracts
internal import FoundationEssentials
package import ReleaseGateCore

/// The lineage as the gate uses it: chains what is appended, and checks everything that is read.
package struct LineageBook: Sendable {
    /// How often an entry is chained anew when another process was faster.
    private static let attemptsMax = 20

    private let store: any LineageStore
    private let notifier: Notifier?

    /// - Parameter notifier: told of what was recorded, after it was.
    package init(store: any LineageStore, notifier: Notifier? = nil) {
        self.store = store
        self.notifier = notifier
    }

    /// Appends an event and what it names.
    ///
    /// - Parameter isAllowed: asked of all that stands before the entry; nothing comes in between.
    /// - Returns: nil when it was not allowed. Nothing was recorded then.
    @discardableResult
    package func record(
        _ event: LineageEntry.Event, naming documents: [LineageDocument] = [],
        onlyIf isAllowed: ([LineageEntry]) -> Bool = { _ in true }
    ) async throws -> LineageEntry? {
        for _ in 0..<Self.attemptsMax {
            let entries = try await entries()
            guard isAllowed(entries) else { return nil }
            let entry = try Lineage.entry(event, after: entries.last)
            let bytes = try Canonical.bytes(entry)
            let record = LineageRecord(entry: bytes, sha256: try entry.sha256())
            if try await store.append(record, at: entry.sequence, naming: documents) {
                await notifier?.tell(entry)
                return entry
            }
        }
        throw GateError(.storeFailed, "Others kept appending to the lineage; nothing was recorded. Try again.")
    }

    /// Every entry, oldest first, after the whole chain was checked.
    ///
    /// - Throws: `tampered`, naming the first entry that is not what was appended.
    package func entries() async throws -> [LineageEntry] {
        let records = try await store.records()
        var entries: [LineageEntry] = []
        entries.reserveCapacity(records.count)
        for (index, record) in records.enumerated() {
            let entry: LineageEntry
            do { entry = try Canonical.decode(LineageEntry.self, from: record.entry) } catch {
                throw GateError(.tampered, "Lineage entry \(index) cannot be read.", underlying: error)
            }
            guard try Canonical.bytes(entry) == record.entry else {
                throw GateError(.tampered, "Lineage entry \(index) is not in the form in which it was appended.")
            }
            guard try entry.sha256() == record.sha256 else {
                throw GateError(.tampered, "Lineage entry \(index) was changed: its hash is another.")
            }
            entries.append(entry)
        }
        if let fault = try Lineage.fault(in: entries) { throw GateError(.tampered, "\(fault).") }
        return entries
    }

    /// A document that an entry names, after its hash was checked.
    ///
    /// - Throws: `tampered` when it is missing or changed.
    package func document(_ sha256: String, what: String) async throws -> [UInt8] {
        guard let bytes = try await store.document(sha256) else {
            throw GateError(.tampered, "\(what) \(sha256.prefix(16))… is missing.")
        }
        guard Digest(of: bytes).hexadecimal == sha256 else {
            throw GateError(.tampered, "\(what) \(sha256.prefix(16))… was changed: its hash is another.")
        }
        return bytes
    }

    /// Checks the chain and every document that an entry names, and those that a promotion's evidence lists.
    ///
    /// - Returns: how many entries and documents were checked.
    package func verify() async throws -> (entries: Int, documents: Int) {
        let entries = try await entries()
        var documents: Set<String> = []
        for entry in entries {
            if let evidence = entry.event.evidenceSHA256, documents.insert(evidence).inserted {
                let bytes = try await document(evidence, what: "The evidence of entry \(entry.sequence),")
                for item in try PromotionEvidence.items(in: bytes, of: entry)
                where documents.insert(item.sha256).inserted {
                    _ = try await document(item.sha256, what: "The \(item.kind.rawValue) of entry \(entry.sequence),")
                }
            }
            if let policy = entry.event.policySHA256, documents.insert(policy).inserted {
                _ = try await document(policy, what: "The policy of entry \(entry.sequence),")
            }
        }
        return (entries.count, documents.count)
    }
}

extension LineageEntry {
    /// Of its canonical bytes: what the next entry names.
    func sha256() throws -> String { try Canonical.digest(self).hexadecimal }
}

/// One decision as it is kept: everything it depended on, and what it was.
package struct DecisionRecord: Sendable, Equatable, Codable {
    package let input: GateInput
    package let decision: Decision

    package init(input: GateInput, decision: Decision) {
        self.input = input
        self.decision = decision
    }

    /// The documents that its lineage entry names: itself as evidence, and the policy on its own.
    package func documents() throws -> [LineageDocument] {
        [
            LineageDocument(.evidence, try Canonical.bytes(self)),
            LineageDocument(.policy, try Canonical.bytes(input.policy)),
        ]
    }

    /// What was decided, and the reason of the service that decided it.
    package var headline: String {
        let decisive = decision.services.first { $0.service == decision.decidedBy } ?? decision.services.first
        let reason = decisive?.lines.last ?? decision.lines.first ?? decision.outcome.rawValue
        return decisive.map { "\($0.service): \(reason)" } ?? reason
    }

    package func event(actor: String) throws -> LineageEntry.Event {
        let documents = try documents()
        return LineageEntry.Event(
            atSeconds: input.atSeconds, environment: input.environment, version: input.version,
            digests: input.digests, kind: .decision, actor: actor, decision: decision.outcome, step: input.step,
            reason: headline, evidenceSHA256: documents[0].sha256, policySHA256: documents[1].sha256)
    }
}
