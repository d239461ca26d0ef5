internal import FoundationEssentials
internal import Postgres

/// Whether any migration was ever run on this database.
struct HasSchemaMigrations: PostgresStatement {
    static let sql = "SELECT to_regclass('schema_migrations') IS NOT NULL"
    static let isReadOnly = true

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Bool { try row.bool(0) }
}

/// The migrations that are applied, in order.
struct ListMigrations: PostgresStatement {
    struct Row: Sendable {
        let version: Int
        let name: String
        /// Nil when psql ran the file and no migrator has seen it since.
        let checksum: String?
        let appliedAt: Date
    }

    static let sql = "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version"
    static let isReadOnly = true

    static func row(_ row: borrowing PostgresRow) throws(PostgresError) -> Row {
        Row(
            version: try row.int(0), name: try row.text(1), checksum: try row.textOrNil(2),
            appliedAt: try row.timestamp(3)
        )
    }
}

/// Notes the checksum of an applied migration that has none yet.
struct NoteChecksum: PostgresStatement {
    typealias Row = Void

    let version: Int
    let checksum: String

    static let sql = "UPDATE schema_migrations SET checksum = $2 WHERE version = $1 AND checksum IS NULL"

    func bind(to bindings: inout PostgresBindings) {
        bindings.int(version)
        bindings.text(checksum)
    }
}
