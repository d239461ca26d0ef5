internal import FoundationEssentials
internal import Postgres

/// Makes sure that chains have an end to lock. In order, so that two batches never wait for each other in a circle.
///
/// Waits for an end that somebody else is inserting. An end that is there it only reads: the insert would wait for
/// whoever changes or deletes it.
struct OpenAuditChains: PostgresStatement {
    let tenants: [String]

    static let sql = """
        INSERT INTO audit_head (tenant_id) SELECT t FROM unnest($1::text[]) AS u(t)
        WHERE NOT EXISTS (SELECT FROM audit_head h WHERE h.tenant_id = t)
        ORDER BY t ON CONFLICT DO NOTHING
        """

    func bind(to bindings: inout PostgresBindings) { bindings.texts(tenants) }
}

/// The end of a chain.
struct AuditHead: Sendable {
    let tenant: String
    let sequence: Int
    let hash: [UInt8]
}

extension AuditHead {
    /// Reads tenant_id, seq, hash.
    init(_ row: borrowing PostgresRow) throws(PostgresError) {
        self.init(tenant: try row.text(0), sequence: try row.int(1), hash: try row.bytes(2))
    }
}

/// Locks the ends of chains until the transaction is over.
struct LockAuditHeads: PostgresStatement {
    let tenants: [String]

    static let planning = PostgresPlanning.once
    static let sql = """
        SELECT tenant_id, seq, hash FROM audit_head WHERE tenant_id = ANY($1::text[]) ORDER BY tenant_id FOR UPDATE
        """

    func bind(to bindings: inout PostgresBindings) { bindings.texts(tenants) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditHead { try AuditHead(row) }
}

/// The same for those that nobody else holds locked; the others are passed over.
struct LockFreeAuditHeads: PostgresStatement {
    let tenants: [String]

    static let planning = PostgresPlanning.once
    static let sql = """
        SELECT tenant_id, seq, hash FROM audit_head WHERE tenant_id = ANY($1::text[]) ORDER BY tenant_id
        FOR UPDATE SKIP LOCKED
        """

    func bind(to bindings: inout PostgresBindings) { bindings.texts(tenants) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditHead { try AuditHead(row) }
}

/// Appends rows and moves the ends of their chains, which the transaction holds locked.
struct AppendAudit: PostgresStatement {
    let rows: [AuditRow]
    let heads: [AuditHead]

    static let planning = PostgresPlanning.once

    /// Times travel as whole microseconds, because the hash covers them and must not depend on rounding.
    static let sql = """
        WITH moved AS (
            UPDATE audit_head h SET seq = u.seq, hash = u.hash
            FROM unnest($13::text[], $14::int8[], $15::bytea[]) AS u(tenant_id, seq, hash)
            WHERE h.tenant_id = u.tenant_id
        )
        INSERT INTO audit_log (
            tenant_id, seq, at, actor, actor_role, action, resource, outcome, reason, trace_id, detail, prev_hash, hash
        )
        SELECT tenant_id, seq, 'epoch'::timestamptz + interval '1 microsecond' * at, actor, actor_role, action,
            resource, outcome, reason, trace_id, detail, prev_hash,
            hash
        FROM unnest(
            $1::text[], $2::int8[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::json[], $12::bytea[], $16::bytea[]
        ) AS u(
            tenant_id, seq, at, actor, actor_role, action, resource, outcome, reason, trace_id, detail, prev_hash, hash
        )
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(rows.count) { rows[$0].tenant }
        bindings.ints(rows.count) { rows[$0].sequence }
        bindings.ints(rows.count) { rows[$0].atMicroseconds }
        bindings.texts(rows.count) { rows[$0].actor }
        bindings.texts(rows.count) { rows[$0].actorRole }
        bindings.texts(rows.count) { rows[$0].action }
        bindings.texts(rows.count) { rows[$0].resource }
        bindings.texts(rows.count) { rows[$0].outcome }
        bindings.texts(rows.count) { rows[$0].reason }
        bindings.texts(rows.count) { rows[$0].traceID }
        bindings.jsons(rows.count) { rows[$0].detail[...] }
        bindings.bytesArray(rows.count) { rows[$0].previousHash }
        bindings.texts(heads.count) { heads[$0].tenant }
        bindings.ints(heads.count) { heads[$0].sequence }
        bindings.bytesArray(heads.count) { heads[$0].hash }
        bindings.bytesArray(rows.count) { rows[$0].hash }
    }
}

/// A page of a tenant's rows, newest first.
struct ListAudit: PostgresStatement {
    let filter: AuditFilter

    static let isReadOnly = true
    static let sql =
        "SELECT " + AuditColumns.list + """
             FROM audit_log
            WHERE tenant_id = $1 AND ($2::int8 IS NULL OR seq < $2) AND ($3::text IS NULL OR actor = $3)
                AND ($4::text IS NULL OR action = $4) AND ($5::text IS NULL OR outcome = $5)
                AND ($6::timestamptz IS NULL OR at >= $6) AND ($7::timestamptz IS NULL OR at < $7)
            ORDER BY seq DESC LIMIT $8
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(filter.chain.text)
        bindings.int(filter.before)
        bindings.text(filter.actor)
        bindings.text(filter.action)
        bindings.text(filter.outcome?.rawValue)
        bindings.timestamp(filter.from)
        bindings.timestamp(filter.to)
        bindings.int(filter.limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditRow { try AuditColumns.read(row) }
}

/// A stretch of one chain in its order.
struct ReadAuditChain: PostgresStatement {
    let tenant: String
    let after: Int
    let limit: Int

    static let isReadOnly = true
    static let sql =
        "SELECT " + AuditColumns.list + " FROM audit_log WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3"

    func bind(to bindings: inout PostgresBindings) {
        bindings.text(tenant)
        bindings.int(after)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditRow { try AuditColumns.read(row) }
}

/// The end of a chain and the last of its rows, as one moment saw both.
struct ReadAuditEnd: PostgresStatement {
    struct End: Sendable {
        /// Nil when the chain's row in `audit_head` is gone.
        let head: AuditHead?
        let lastSequence: Int
    }

    let tenant: String

    static let isReadOnly = true
    static let sql = """
        SELECT h.seq, h.hash, coalesce((SELECT max(l.seq) FROM audit_log l WHERE l.tenant_id = $1), 0)
        FROM (SELECT 1) one LEFT JOIN audit_head h ON h.tenant_id = $1
        """

    func bind(to bindings: inout PostgresBindings) { bindings.text(tenant) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> End {
        let sequence = try row.intOrNil(0)
        let hash = try row.bytesOrNil(1)
        let head = sequence.flatMap { sequence in hash.map { AuditHead(tenant: "", sequence: sequence, hash: $0) } }
        return End(head: head, lastSequence: try row.int(2))
    }
}

/// Every name that has rows or an end, found by skipping through the primary key instead of reading every row.
struct ListAuditChains: PostgresStatement {
    static let isReadOnly = true
    static let sql = """
        WITH RECURSIVE named(t) AS (
            (SELECT tenant_id FROM audit_log ORDER BY tenant_id LIMIT 1)
            UNION ALL
            SELECT (SELECT l.tenant_id FROM audit_log l WHERE l.tenant_id > n.t ORDER BY l.tenant_id LIMIT 1)
            FROM named n WHERE n.t IS NOT NULL
        )
        SELECT t FROM named WHERE t IS NOT NULL UNION SELECT tenant_id FROM audit_head ORDER BY 1
        """

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }
}

/// The columns of `audit_log` in the order they are read in.
enum AuditColumns {
    static let list = """
        tenant_id, seq, CASE WHEN isfinite(at) THEN (extract(epoch FROM at) * 1000000)::int8 END, actor, actor_role,
        action, resource, outcome, reason, trace_id, detail, prev_hash, hash
        """

    static func read(_ row: borrowing PostgresRow) throws(PostgresError) -> AuditRow {
        AuditRow(
            tenant: try row.text(0), sequence: try row.int(1), atMicroseconds: try row.intOrNil(2),
            actor: try row.text(3), actorRole: try row.text(4), action: try row.text(5), resource: try row.text(6),
            outcome: try row.text(7), reason: try row.textOrNil(8), traceID: try row.textOrNil(9),
            detail: try row.json(10), previousHash: try row.bytes(11), hash: try row.bytes(12)
        )
    }
}
