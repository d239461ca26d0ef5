package import Bootstrap
internal import Contracts
internal import FoundationEssentials
internal import Postgres
internal import Storage

/// Proves or hands out the audit log, straight from the database: what the API's server says counts for nothing here.
package struct AuditMaintenance: Sendable {
    private let database: MaintenanceDatabase

    package init(_ settings: ServiceConfiguration) throws {
        database = try MaintenanceDatabase(settings)
    }

    /// Walks one tenant's chain, or all, and prints what it found; true when nothing is broken.
    ///
    /// - Parameter tenant: `-` is the installation's own chain.
    package func verify(tenant: String?, json: Bool) async throws -> Bool {
        try await database.withPool { pool in
            let store = AuditStore(pool: pool)
            var isWhole = true
            for chain in try await Self.chains(store, tenant) {
                let verdict = try await store.verify(chain: chain)
                print(json ? Self.document(verdict).text : Self.sentence(verdict))
                isWhole = isWhole && verdict.broken == nil
            }
            return isWhole
        }
    }

    /// Prints every entry as one JSON object a line, chain by chain, each in its order.
    package func export(tenant: String?) async throws {
        try await database.withPool { pool in
            let store = AuditStore(pool: pool)
            for chain in try await Self.chains(store, tenant) {
                try await store.read(chain: chain) { rows in
                    for row in rows { print(AuditView.export(row).text) }
                }
            }
        }
    }

    private static func chains(_ store: AuditStore, _ tenant: String?) async throws -> [String] {
        if let tenant { return [tenant] }
        return try await store.chains()
    }

    private static func sentence(_ verdict: AuditVerdict) -> String {
        let name = verdict.chain == AuditChain.installation.text ? "the installation" : verdict.chain
        guard let broken = verdict.broken else {
            return "\(name): \(verdict.rows) entries, unbroken, ends with \(AuditView.hexadecimal(verdict.hash))"
        }
        let what =
            switch broken.kind {
            case .changed: "was changed"
            case .unlinked: "does not follow from the one before"
            case .missing: "is missing"
            case .endMismatch: "is not what the chain ended with"
            }
        return "\(name): BROKEN: entry \(broken.sequence) \(what); the \(verdict.rows) before it are as they were"
    }

    private static func document(_ verdict: AuditVerdict) -> JSON {
        JSONWriter.object { writer in
            writer.field("tenant", verdict.chain)
            writer.field("entries", verdict.rows)
            writer.field("hash", AuditView.hexadecimal(verdict.hash))
            writer.field("unbroken", verdict.broken == nil)
            if let broken = verdict.broken {
                writer.field(
                    "first_broken",
                    object: {
                        $0.field("seq", broken.sequence)
                        $0.field("kind", broken.kind.rawValue)
                    })
            }
        }
    }
}
