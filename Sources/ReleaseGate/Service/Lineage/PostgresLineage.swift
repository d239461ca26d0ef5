package import Storage

/// The lineage in the platform's database, where grants and triggers keep it append-only.
package struct PostgresLineage: LineageStore {
    private let store: ReleaseStore

    package init(store: ReleaseStore) { self.store = store }

    package func records() async throws -> [LineageRecord] {
        try await store.lineage().map { LineageRecord(entry: $0.entry, sha256: $0.sha256) }
    }

    package func append(
        _ record: LineageRecord, at sequence: Int, naming documents: [LineageDocument]
    ) async throws -> Bool {
        try await store.append(
            StoredLineage(sequence: sequence, entry: record.entry, sha256: record.sha256),
            naming: documents.map { StoredEvidence(sha256: $0.sha256, kind: $0.kind.stored, document: $0.bytes) })
    }

    package func document(_ sha256: String) async throws -> [UInt8]? { try await store.document(sha256)?.document }
}

extension LineageDocument.Kind {
    fileprivate var stored: StoredEvidence.Kind {
        switch self {
        case .evidence: .evidence
        case .policy: .policy
        case .attestation: .attestation
        case .approval: .approval
        case .certificate: .certificate
        case .plan: .plan
        }
    }
}
