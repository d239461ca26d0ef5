package import Contracts
package import FoundationEssentials
package import Postgres

/// The keys that sign this installation's tokens, shared by all replicas.
package final class SigningKeyStore: Sendable {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Those still accepted, oldest first.
    package func valid(at now: Date) async throws -> [SigningKeyRecord] {
        try await pool.execute(ListSigningKeys(now: now))
    }

    /// Lets `decide` say what the valid keys are to be, and keeps that: new keys are added, of others the times change,
    /// and those it leaves out are removed, as are all that are past their time. One replica at a time, so that two
    /// never make a key each. Answers the valid ones.
    ///
    /// - Parameter decide: runs on a database thread; must be quick and may run again.
    package func change(
        now: Date, _ decide: @escaping @Sendable ([SigningKeyRecord]) throws -> [SigningKeyRecord]
    ) async throws -> [SigningKeyRecord] {
        try await pool.transaction { tx in
            try tx.enqueue(LockSigningKeys())
            let keys = try tx.execute(ListSigningKeys(now: now))
            let wanted = try decide(keys)
            guard wanted != keys else { return keys }
            for key in wanted where !keys.contains(key) { try tx.enqueue(PutSigningKey(key: key)) }
            try tx.finish(RemoveSigningKeys(kept: wanted.map(\.id)))
            return wanted
        }
    }
}

struct LockSigningKeys: PostgresStatement {
    static let sql = "LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"
}

struct ListSigningKeys: PostgresStatement {
    let now: Date

    static let isReadOnly = true
    static let sql = """
        SELECT id, public_key, private_key_sealed, created_at, signs_from, signs_until, valid_until
        FROM signing_keys WHERE valid_until > $1 ORDER BY signs_from, id
        """

    func bind(to bindings: inout PostgresBindings) { bindings.timestamp(now) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> SigningKeyRecord {
        SigningKeyRecord(
            id: try row.text(0), publicKey: try row.bytes(1), privateKeySealed: try row.bytes(2),
            createdAt: try row.timestamp(3), signsFrom: try row.timestamp(4), signsUntil: try row.timestamp(5),
            validUntil: try row.timestamp(6)
        )
    }
}

struct PutSigningKey: PostgresStatement {
    let key: SigningKeyRecord

    static let sql = """
        INSERT INTO signing_keys (
            id, algorithm, public_key, private_key_sealed, created_at, signs_from, signs_until, valid_until
        ) VALUES ($1, 'ES256', $2, $3, $4, $5, $6, $7)
        ON CONFLICT (id) DO UPDATE SET signs_until = excluded.signs_until, valid_until = excluded.valid_until
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(key.id)
        bindings.bytes(key.publicKey)
        bindings.bytes(key.privateKeySealed)
        bindings.timestamp(key.createdAt)
        bindings.timestamp(key.signsFrom)
        bindings.timestamp(key.signsUntil)
        bindings.timestamp(key.validUntil)
    }
}

struct RemoveSigningKeys: PostgresStatement {
    let kept: [String]

    static let sql = "DELETE FROM signing_keys WHERE id <> ALL($1)"

    func bind(to bindings: inout PostgresBindings) { bindings.texts(kept) }
}
