internal import Contracts
internal import ReleaseGateCore

/// Everything that spoke for a promotion, as one document that its entry names: each document by its hash, so that none
/// can be exchanged or taken away unseen.
package struct PromotionEvidence: Sendable, Equatable, Codable {
    package struct Item: Sendable, Equatable, Codable {
        package let kind: LineageDocument.Kind
        package let sha256: String
    }

    package let documents: [Item]

    package init(_ documents: [LineageDocument]) {
        self.documents = documents.map { Item(kind: $0.kind, sha256: $0.sha256) }
    }

    package var document: LineageDocument {
        get throws { LineageDocument(.evidence, try Canonical.bytes(self)) }
    }

    /// What an entry's evidence lists. An entry of before it was kept names the plan alone, which lists nothing.
    ///
    /// - Throws: `tampered` for a list that cannot be read.
    static func items(in bytes: [UInt8], of entry: LineageEntry) throws(GateError) -> [Item] {
        switch entry.event.kind {
        case .promote, .breakGlass: break
        case .cut, .install, .step, .decision, .seal, .rollback, .verification, .revocation, .approval, .uninstall,
            .intent, .imported:
            return []
        }
        do {
            let fields = try JSON(parsing: bytes).fields ?? []
            guard fields.contains(where: { $0.name == "documents" }) else { return [] }
            return try Canonical.decode(Self.self, from: bytes).documents
        } catch {
            throw GateError(.tampered, "The evidence of entry \(entry.sequence) cannot be read.", underlying: error)
        }
    }
}
