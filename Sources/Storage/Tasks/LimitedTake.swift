internal import Contracts
internal import FoundationEssentials
internal import Postgres

/// Takes due tasks: as many as are granted, and no more at once than may be in memory together.
///
/// Where tenants limit how many with one label are at work, what would be one too many is held back: it leaves the
/// dispatcher's index, so that a backlog of one label is passed by once and not every time, and comes back as others
/// with the label end. Everything happens under one lock a tenant, and what is at work is counted under it, so that two
/// replicas that both think they lead cannot exceed a limit.
struct LimitedTake {
    /// Rows looked at beyond what is granted, at first and in the last round.
    static let lookaheads = [16, 64, 256, 1024]

    let grants: [(key: DispatchHint.Count, count: Int)]
    let limits: LabelLimits
    /// The largest prompt that goes out with one of them.
    let promptBytes: Int
    let now: Date
    /// Where something was held back.
    private(set) var held: Set<DispatchHint.Count> = []
    /// Where there may be more to take, behind what was looked at or beyond what may be in memory together.
    private(set) var unfinished: Set<DispatchHint.Count> = []

    init(_ grants: [(key: DispatchHint.Count, count: Int)], limits: LabelLimits, promptBytes: Int, now: Date) {
        self.grants = grants
        self.limits = limits
        self.promptBytes = promptBytes
        self.now = now
    }

    /// The chosen tasks, locked and still queued.
    mutating func run(in tx: borrowing PostgresTransaction) throws -> [QueuedTask] {
        let found =
            try limits.isEmpty
            ? tx.execute(TakeQueued(grants: grants, promptBytes: promptBytes, now: now))
            : withinLimits(in: tx)
        var taken: [QueuedTask] = []
        for task in found {
            switch task {
            case .read(let queued): taken.append(queued)
            case .left(let key): unfinished.insert(key)
            }
        }
        return taken
    }

    private mutating func withinLimits(in tx: borrowing PostgresTransaction) throws -> [TakenTask] {
        let tenants = Set(grants.map(\.key.tenant)).sorted()
        try tx.enqueue(LockLabels(tenants: tenants))
        let labels = tenants.flatMap { tenant in limits.limits(of: tenant).keys.sorted().map { (tenant, $0) } }
        let room = LabelRoom(
            limits,
            running: try tx.execute(CountLabelled(labels: labels)).map { row in
                LabelCount(tenant: labels[row.place].0, label: labels[row.place].1, count: row.count)
            })
        try tx.enqueue(release(room))
        let chosen = try choose(room, in: tx)
        return chosen.isEmpty ? [] : try tx.execute(ReadQueued(ids: chosen, promptBytes: promptBytes))
    }

    /// As many of each label as there is room for come back, to stand in line with the others.
    private func release(_ room: LabelRoom) -> ReleaseHeld {
        var rows: [ReleaseHeld.Share] = []
        for grant in grants {
            for label in limits.limits(of: grant.key.tenant).keys.sorted() {
                let count = min(grant.count, room.room(label, of: grant.key.tenant))
                if count > 0 { rows.append(.init(key: grant.key, label: label, count: count)) }
            }
        }
        return ReleaseHeld(shares: rows)
    }

    private mutating func choose(
        _ room: LabelRoom, in tx: borrowing PostgresTransaction
    ) throws -> [TaskID] {
        var chosen: [TaskID] = []
        for lookahead in Self.lookaheads {
            let rows = try tx.execute(ScanQueued(grants: grants, lookahead: lookahead, now: now))
            var blocked: [(TaskID, TaskLabel)] = []
            (chosen, blocked) = sort(rows, lookahead: lookahead, room)
            if !blocked.isEmpty { try tx.enqueue(HoldBack(tasks: blocked)) }
            if unfinished.isEmpty { break }
        }
        return chosen
    }

    /// One look at what is first in line. What is chosen is seen again in the next round, what is blocked is not.
    private mutating func sort(
        _ rows: [ScanQueued.Found], lookahead: Int, _ room: LabelRoom
    ) -> (chosen: [TaskID], blocked: [(TaskID, TaskLabel)]) {
        var room = room
        var chosen: [TaskID] = []
        var blocked: [(TaskID, TaskLabel)] = []
        unfinished = []
        let places = Dictionary(grouping: rows, by: \.place)
        for (place, grant) in grants.enumerated() {
            let found = places[place] ?? []
            var left = grant.count
            for row in found where left > 0 {
                if let label = room.take(row.labels, of: grant.key.tenant) {
                    blocked.append((row.id, label))
                    held.insert(grant.key)
                } else {
                    chosen.append(row.id)
                    left -= 1
                }
            }
            if left > 0, found.count == grant.count + lookahead { unfinished.insert(grant.key) }
        }
        return (chosen, blocked)
    }
}

/// One dispatcher at a time chooses among a tenant's limited tasks, until its transaction ends.
struct LockLabels: PostgresStatement {
    let tenants: [TenantID]

    /// The key's high half is "labl" in ASCII.
    static let sql = """
        SELECT pg_advisory_xact_lock(x'6c61626c'::int, hashtext(t)) FROM unnest($1::text[]) AS t
        """

    func bind(to bindings: inout PostgresBindings) { bindings.texts(tenants.map(\.text)) }
}

/// How many tasks with each label are at work.
///
/// Reads what is in flight as a whole, which is short: no plan can come to walk through a tenant's history instead.
struct CountLabelled: PostgresStatement {
    let labels: [(TenantID, TaskLabel)]

    static let isReadOnly = true
    static let sql = """
        WITH busy AS MATERIALIZED (
            SELECT tenant_id, labels FROM tasks
            WHERE state IN ('developing', 'testing', 'deploying', 'canceling') AND labels <> '{}'
        )
        SELECT l.place, count(*) FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
            AS l(tenant_id, name, value, place)
        JOIN busy b ON b.tenant_id = l.tenant_id AND b.labels ->> l.name = l.value
        GROUP BY l.place
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(labels.map { $0.0.text })
        bindings.texts(labels.map { $0.1.name })
        bindings.texts(labels.map { $0.1.value })
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> (place: Int, count: Int) {
        (try row.int(0) - 1, try row.int(1))
    }
}

/// Lets the first in line of each label go, so many of each.
struct ReleaseHeld: PostgresStatement {
    struct Share: Sendable {
        let key: DispatchHint.Count
        let label: TaskLabel
        let count: Int
    }

    let shares: [Share]

    static let sql = """
        WITH free AS MATERIALIZED (
            SELECT t.id FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[]) AS s(role, tenant_id, label, count)
            CROSS JOIN LATERAL (
                SELECT q.id FROM tasks q
                WHERE q.state = 'queued' AND q.held_label IS NOT NULL AND q.role = s.role
                    AND q.tenant_id = s.tenant_id AND q.held_label = s.label
                ORDER BY q.priority DESC, q.run_at, q.id LIMIT s.count FOR UPDATE SKIP LOCKED
            ) t
        )
        UPDATE tasks SET held_label = NULL WHERE id IN (SELECT id FROM free)
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(shares.map { $0.key.role.text })
        bindings.texts(shares.map { $0.key.tenant.text })
        bindings.texts(shares.map { $0.label.description })
        bindings.ints(shares.map(\.count))
    }
}

/// The first due tasks of each grant with their labels, locked; those that others hold are skipped.
struct ScanQueued: PostgresStatement {
    struct Found: Sendable {
        let id: TaskID
        let place: Int
        let labels: [String: String]
    }

    let grants: [(key: DispatchHint.Count, count: Int)]
    let lookahead: Int
    let now: Date

    static let sql = """
        SELECT t.id, g.place, t.labels::json FROM unnest($1::text[], $2::text[], $3::int8[]) WITH ORDINALITY
            AS g(role, tenant_id, count, place)
        CROSS JOIN LATERAL (
            SELECT q.id, q.labels, q.priority, q.run_at FROM tasks q
            WHERE q.state = 'queued' AND q.held_label IS NULL AND q.role = g.role AND q.tenant_id = g.tenant_id
                AND q.run_at <= $4
            ORDER BY q.priority DESC, q.run_at, q.id
            LIMIT g.count FOR UPDATE SKIP LOCKED
        ) t
        ORDER BY g.place, t.priority DESC, t.run_at, t.id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.texts(grants.map { $0.key.role.text })
        bindings.texts(grants.map { $0.key.tenant.text })
        bindings.ints(grants.map { $0.count + lookahead })
        bindings.timestamp(now)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Found {
        Found(id: TaskID(try row.uuid(0)), place: try row.int(1) - 1, labels: try TaskRow.labels(row, column: 2))
    }
}

/// Takes tasks out of the line until there is room for their label.
struct HoldBack: PostgresStatement {
    let tasks: [(TaskID, TaskLabel)]

    static let sql = """
        UPDATE tasks t SET held_label = h.label FROM unnest($1::uuid[], $2::text[]) AS h(id, label) WHERE t.id = h.id
        """

    func bind(to bindings: inout PostgresBindings) {
        bindings.uuids(tasks.map { $0.0.uuid })
        bindings.texts(tasks.map { $0.1.description })
    }
}

/// Chosen tasks as the dispatcher takes them.
struct ReadQueued: PostgresStatement {
    let ids: [TaskID]
    let promptBytes: Int

    static let sql = TakenTask.sql(reading: "SELECT * FROM tasks WHERE id = ANY($3::uuid[])")

    func bind(to bindings: inout PostgresBindings) {
        bindings.int(TakenTask.bytesMax)
        bindings.int(promptBytes)
        bindings.uuids(ids.map(\.uuid))
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> TakenTask { try TakenTask(row) }
}

/// Lets tasks go whose label nothing limits any more.
struct ReleaseUnlimited: PostgresStatement {
    let limits: LabelLimits
    let limit: Int

    static let sql = """
        WITH free AS MATERIALIZED (
            SELECT t.id FROM tasks t
            WHERE t.state = 'queued' AND t.held_label IS NOT NULL AND NOT EXISTS (
                SELECT FROM unnest($1::text[], $2::text[]) AS l(tenant_id, label)
                WHERE l.label = t.held_label
                    AND l.tenant_id = CASE WHEN t.tenant_id = ANY($3::text[]) THEN t.tenant_id ELSE '*' END
            )
            LIMIT $4 FOR UPDATE SKIP LOCKED
        ), released AS (
            UPDATE tasks SET held_label = NULL WHERE id IN (SELECT id FROM free) RETURNING 1
        )
        SELECT count(*) FROM released
        """

    func bind(to bindings: inout PostgresBindings) {
        let own = limits.tenants.flatMap { tenant, labels in labels.keys.map { (tenant.text, $0) } }
        let all = own + limits.others.keys.map { ("*", $0) }
        bindings.texts(all.map(\.0))
        bindings.texts(all.map { $0.1.description })
        bindings.texts(limits.tenants.keys.map(\.text))
        bindings.int(limit)
    }

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Int { try row.int(0) }
}
