internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Files letters; answers the message ids of those that were not filed before. A letter that names no tenant is its
/// task's tenant's.
struct FileDeadLetters: PostgresStatement {
    let letters: [FiledLetter]

    static let sql = """
        INSERT INTO dlq_messages (
            message_id, original_subject, subject_family, fingerprint, data, data_encoding, headers, tenant_id, task_id,
            reason, error, error_count, stream, stream_sequence, consumer, first_seen, last_seen
        )
        SELECT u.message_id, u.subject, u.family, u.fingerprint, u.data, u.encoding, u.headers::jsonb,
            COALESCE(u.tenant_id, t.tenant_id), u.task_id, u.reason, u.error, u.error_count::int, u.stream,
            u.stream_sequence, u.consumer, u.first_seen, u.last_seen
        FROM unnest(
            $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::json[], $8::text[], $9::uuid[],
            $10::text[], $11::text[], $12::int8[], $13::text[], $14::int8[], $15::text[], $16::timestamptz[],
            $17::timestamptz[]
        ) AS u(
            message_id, subject, family, fingerprint, data, encoding, headers, tenant_id, task_id, reason, error,
            error_count, stream, stream_sequence, consumer, first_seen, last_seen
        )
        LEFT JOIN tasks t ON t.id = u.task_id
        ON CONFLICT (message_id) DO NOTHING
        RETURNING message_id
        """

    func bind(to bindings: inout PostgresBindings) {
        let bytes = letters.map { LetterBytes.stored($0.payload) }
        bindings.texts(letters.map(\.messageID))
        bindings.texts(letters.map(\.subject))
        bindings.texts(letters.map(\.family))
        bindings.texts(letters.map(\.fingerprint))
        bindings.texts(bytes.map(\.data))
        bindings.texts(bytes.map(\.encoding))
        bindings.jsons(letters.map { Array(Self.headers($0.headers).bytes) })
        bindings.texts(letters.map { $0.tenant?.text })
        bindings.uuids(letters.map { $0.task?.uuid })
        bindings.texts(letters.map(\.reason))
        bindings.texts(letters.map(\.error))
        bindings.ints(letters.map(\.errorCount))
        bindings.texts(letters.map(\.stream))
        bindings.ints(letters.map(\.streamSequence))
        bindings.texts(letters.map(\.consumer))
        bindings.timestamps(letters.map(\.firstSeen))
        bindings.timestamps(letters.map(\.lastSeen))
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> String { try row.text(0) }

    private static func headers(_ headers: [String: String]) -> JSON {
        JSONWriter.object { writer in
            for (name, value) in headers.sorted(by: { $0.key < $1.key }) { writer.field(name, value) }
        }
    }
}

/// What a `DeadLetterFilter` means, as a condition over `dlq_messages m` with the parameters 1 to 9.
///
/// A tenant's operators see its letters, and those that nobody can tell whose they are: these hold no tenant's work
/// that could be read, and somebody has to look after them.
enum LetterMatch {
    static let condition = """
        (m.tenant_id = $1 OR m.tenant_id IS NULL)
        AND ($2::text IS NULL OR m.original_subject = $2) AND ($3::text IS NULL OR starts_with(m.original_subject, $3))
        AND ($4::text IS NULL OR m.reason = $4) AND ($5::text IS NULL OR m.cause = $5)
        AND ($6::uuid IS NULL OR m.task_id = $6) AND ($7::timestamptz IS NULL OR m.created_at < $7)
        AND ($8::timestamptz IS NULL OR m.created_at >= $8) AND ($9::uuid[] IS NULL OR m.id = ANY($9::uuid[]))
        """

    static func bind(_ filter: DeadLetterFilter, tenant: TenantID, to bindings: inout PostgresBindings) {
        bindings.text(tenant.text)
        bindings.text(filter.wholeSubject)
        bindings.text(filter.subjectPrefix)
        bindings.text(filter.reason)
        bindings.text(filter.cause)
        bindings.uuid(filter.task?.uuid)
        bindings.timestamp(filter.before)
        bindings.timestamp(filter.since)
        bindings.uuids(filter.ids.isEmpty ? nil : filter.ids.map(\.uuid))
    }
}

/// A page of letters, the newest first.
struct ListDeadLetters: PostgresStatement {
    let page: DeadLetterPage

    static let isReadOnly = true
    static let sql =
        "SELECT " + LetterRow.columns + """
             FROM dlq_messages m WHERE
            """ + " " + LetterMatch.condition + """
             AND ($10::bool IS NULL OR m.resolved = $10)
                AND ($11::timestamptz IS NULL OR (m.created_at, m.id) < ($11, $12::uuid))
            ORDER BY m.created_at DESC, m.id DESC LIMIT $13
            """

    func bind(to bindings: inout PostgresBindings) {
        LetterMatch.bind(page.filter, tenant: page.tenant, to: &bindings)
        bindings.bool(page.isResolved)
        bindings.timestamp(page.after?.at)
        bindings.uuid(page.after?.id.uuid)
        bindings.int(page.limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> DeadLetter { try LetterRow.read(row) }
}

/// One letter whole.
struct FindDeadLetter: PostgresStatement {
    let id: DeadLetterID
    let tenant: TenantID

    static let isReadOnly = true
    static let sql =
        "SELECT " + LetterRow.columns + """
            , m.data, m.data_encoding, m.headers,
            """ + " " + LetterRow.history + """
             FROM dlq_messages m WHERE m.id = $1 AND (m.tenant_id = $2 OR m.tenant_id IS NULL)
            """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.text(tenant.text)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> DeadLetterDocument {
        DeadLetterDocument(
            letter: try LetterRow.read(row), payload: try LetterRow.payload(row, LetterRow.count),
            headers: try row.parsedJSON(LetterRow.count + 2), history: try row.parsedJSON(LetterRow.count + 3)
        )
    }
}

/// Unresolved letters by cause, the largest group first.
struct GroupDeadLetters: PostgresStatement {
    let filter: DeadLetterFilter
    let tenant: TenantID
    let limit: Int

    static let isReadOnly = true
    static let sql =
        """
        SELECT m.cause, min(m.subject_family), min(m.reason), min(m.error), count(*), min(m.created_at),
            max(m.created_at)
        FROM
        """ + " " + LetterRow.unresolved + " WHERE " + LetterMatch.condition + """
             GROUP BY m.cause ORDER BY count(*) DESC, m.cause LIMIT $10
            """

    func bind(to bindings: inout PostgresBindings) {
        LetterMatch.bind(filter, tenant: tenant, to: &bindings)
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> DeadLetterGroup {
        DeadLetterGroup(
            cause: try row.text(0), family: try row.text(1), reason: try row.text(2), error: try row.textOrNil(3),
            count: try row.int(4), firstAt: try row.timestamp(5), lastAt: try row.timestamp(6)
        )
    }
}

/// Closes a letter by hand; answers whether it was open.
struct ResolveDeadLetter: PostgresStatement {
    let id: DeadLetterID
    let tenant: TenantID
    let by: String
    let notes: String

    static let sql = """
        UPDATE dlq_messages SET
            resolved = true, resolved_at = clock_timestamp(), resolved_by = $3, resolution_notes = $4,
            history = history || jsonb_build_array(jsonb_build_object(
                'at', clock_timestamp(), 'what', 'resolved', 'by', $3::text, 'notes', $4::text
            ))
        WHERE id = $1 AND (tenant_id = $2 OR tenant_id IS NULL) AND NOT resolved
        RETURNING true
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuid(id.uuid)
        bindings.text(tenant.text)
        bindings.text(by)
        bindings.text(notes)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
}

/// How many letters are unresolved, in all and on the subjects that may not wait.
struct CountDeadLetters: PostgresStatement {
    let criticalPrefix: String

    static let isReadOnly = true
    static let sql =
        "SELECT count(*), count(*) FILTER (WHERE starts_with(m.original_subject, $1)) FROM " + LetterRow.unresolved

    func bind(to bindings: inout PostgresBindings) { bindings.text(criticalPrefix) }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> DeadLetterCount {
        DeadLetterCount(unresolved: try row.int(0), critical: try row.int(1))
    }
}

/// Forgets letters that were resolved long ago; answers them whole, to be archived in the same transaction.
///
/// They are found by when they were filed, which no letter is after it was resolved: when it was resolved stands in no
/// index, so that settling is cheap. Only those that are taken are locked; what another worker takes is left to it.
struct TakeOldLetters: PostgresStatement {
    let olderThanSeconds: Double
    let limit: Int
    /// The letter that goes beyond it is the last.
    let bytesMax: Int

    static let sql =
        """
        DELETE FROM dlq_messages m WHERE m.id IN (
            SELECT k.id FROM dlq_messages k WHERE k.id IN (
                SELECT l.id FROM (
                    SELECT o.id, o.bytes, sum(o.bytes) OVER (
                        ORDER BY o.created_at, o.id ROWS UNBOUNDED PRECEDING
                    ) AS total
                    FROM (
                        SELECT id, created_at, octet_length(data) + octet_length(headers::text) AS bytes
                        FROM dlq_messages
                        WHERE created_at < clock_timestamp() - $1 AND resolved AND resolved_at < clock_timestamp() - $1
                        ORDER BY created_at, id LIMIT $2
                    ) o
                ) l WHERE l.total - l.bytes < $3
            ) FOR UPDATE SKIP LOCKED
        ) RETURNING
        """ + " " + LetterRow.columns + ", m.data, m.data_encoding, m.headers, " + LetterRow.history

    func bind(to bindings: inout PostgresBindings) {
        bindings.interval(seconds: olderThanSeconds)
        bindings.int(limit)
        bindings.int(bytesMax)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> DeadLetterDocument {
        try FindDeadLetter.row(row)
    }
}
