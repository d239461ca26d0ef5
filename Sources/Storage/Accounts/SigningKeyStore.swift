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

    /// Lets `decide` look at the valid keys and adds the one that it makes, if any: one replica at a time, so that two
    /// never make one each. Keys past their time are removed. Answers the valid ones.
    ///
    /// - Parameter decide: runs on a database thread; must be quick and may run again.
    package func extend(
        now: Date, _ decide: @escaping @Sendable ([SigningKeyRecord]) throws -> SigningKeyRecord?
    ) async throws -> [SigningKeyRecord] {
        try await pool.transaction { tx in
            try tx.enqueue(LockSigningKeys())
            let keys = try tx.execute(ListSigningKeys(now: now))
            guard let new = try decide(keys) else { return keys }
            try tx.finish(InsertSigningKey(key: new, now: now))
            return keys + [new]
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

struct InsertSigningKey: PostgresStatement {
    let key: SigningKeyRecord
    let now: Date

    static let sql = """
        WITH swept AS (DELETE FROM signing_keys WHERE valid_until <= $8)
        INSERT INTO signing_keys (
            id, algorithm, public_key, private_key_sealed, created_at, signs_from, signs_until, valid_until
        ) VALUES ($1, 'ES256', $2, $3, $4, $5, $6, $7)
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(key.id)
        bindings.bytes(key.publicKey)
        bindings.bytes(key.privateKeySealed)
        bindings.timestamp(key.createdAt)
        bindings.timestamp(key.signsFrom)
        bindings.timestamp(key.signsUntil)
        bindings.timestamp(key.validUntil)
        bindings.timestamp(now)
    }
}
