internal import FoundationEssentials
package import Postgres
internal import Synchronization

/// Moves the database's schema along the migration files.
///
/// Each file is one transaction that writes its own row in `schema_migrations`, so psql may run it too; the migrator
/// adds the file's checksum afterwards, and adopts the files that psql ran. A session advisory lock lets one migrator
/// work at a time; others wait for it and then find nothing left to do.
package struct Migrator: Sendable {
    /// The advisory lock's key: "goldmigr" in ASCII.
    package static let lockKey: Int64 = 0x676f_6c64_6d69_6772

    private let pool: PostgresPool
    private let folder: String
    private let lockTimeout: Duration
    private let fileTimeout: Duration

    /// - Parameters:
    ///   - folder: holds `NNN_name.sql`, and the same names below `down/`.
    ///   - lockTimeout: the longest wait for another migrator to finish.
    ///   - fileTimeout: the longest run of one file.
    package init(
        pool: PostgresPool, folder: String, lockTimeout: Duration = .seconds(600), fileTimeout: Duration = .seconds(600)
    ) {
        self.pool = pool
        self.folder = folder
        self.lockTimeout = lockTimeout
        self.fileTimeout = fileTimeout
    }

    /// Every migration that the folder or the database knows, in order. Changes nothing and takes no lock.
    ///
    /// - Throws: `MigrationError`, or `CancellationError`.
    package func status() async throws -> [MigrationStatus] {
        Self.compare(try MigrationFile.load(folder: folder), with: try await applied())
    }

    /// Applies what is pending, up to and including `target`; answers what it applied, empty when there was nothing.
    ///
    /// - Throws: `MigrationError`: of several migrations, those before the one named are applied and stay so.
    @discardableResult
    package func up(to target: Int? = nil) async throws -> [MigrationStatus] {
        let files = try MigrationFile.load(folder: folder)
        if let target, !(1...files.count).contains(target) {
            throw MigrationError(.targetInvalid, "There is no migration \(target); the last is \(files.count).")
        }
        return try await locked {
            let count = try await verify(files)
            let wanted = files.prefix(target ?? files.count).dropFirst(count)
            for file in wanted { try await apply(file) }
            return try await statuses(of: wanted)
        }
    }

    /// Takes back the last `steps` migrations, with the data they hold; answers what it took back, last first.
    ///
    /// - Throws: `MigrationError`: of several migrations, those before the one named are taken back and stay so.
    @discardableResult
    package func down(steps: Int = 1) async throws -> [MigrationStatus] {
        guard steps > 0 else { throw MigrationError(.targetInvalid, "At least one step must be taken back.") }
        return try await down { $0 - steps }
    }

    /// Takes back every migration after `target`; 0 takes back all.
    ///
    /// - Throws: as `down(steps:)`.
    @discardableResult
    package func down(to target: Int) async throws -> [MigrationStatus] {
        guard target >= 0 else { throw MigrationError(.targetInvalid, "There is no migration \(target).") }
        return try await down { count in
            guard target <= count else {
                throw MigrationError(.targetInvalid, "Migration \(target) is not applied; the last is \(count).")
            }
            return target
        }
    }

    private func down(
        _ target: @escaping @Sendable (_ applied: Int) throws -> Int
    ) async throws -> [MigrationStatus] {
        let files = try MigrationFile.load(folder: folder)
        return try await locked {
            let count = try await verify(files)
            let unwanted = files.prefix(count).dropFirst(max(0, try target(count))).reversed()
            for file in unwanted { try await takeBack(file) }
            return try await statuses(of: unwanted)
        }
    }
}

// One step.
extension Migrator {
    private func apply(_ file: MigrationFile) async throws {
        try await run(file.up, named: file.fileName)
        guard try await applied().contains(where: { $0.version == file.version }) else {
            throw MigrationError(
                .notRecorded, "\(file.fileName) ran but did not write its row into schema_migrations. Let it do so."
            )
        }
        try await note(file)
    }

    private func takeBack(_ file: MigrationFile) async throws {
        try await run(file.down, named: "down/\(file.fileName)")
        guard try await !applied().contains(where: { $0.version == file.version }) else {
            throw MigrationError(
                .notRecorded, "down/\(file.fileName) ran but left its row in schema_migrations. Let it delete it."
            )
        }
    }

    private func run(_ sql: String, named fileName: String) async throws {
        do throws(PostgresError) {
            try await pool.script(sql, timeout: fileTimeout)
        } catch {
            switch error.code {
            case .cancelled: throw CancellationError()
            case .outcomeUnknown:
                throw MigrationError(
                    .outcomeUnknown,
                    "The connection ended while \(fileName) committed. Ask for the status, then run again.",
                    underlying: error
                )
            default:
                throw MigrationError(
                    .failed, "\(fileName) failed and was rolled back; files before it are kept. Correct it, run again.",
                    underlying: error
                )
            }
        }
    }

    private func note(_ file: MigrationFile) async throws {
        try await ask { () async throws(PostgresError) in
            _ = try await pool.execute(NoteChecksum(version: file.version, checksum: file.checksum))
        }
    }
}

// What the database says, against what the files say.
extension Migrator {
    /// Refuses a history that the files cannot continue, adopts what psql ran, and answers how many are applied.
    private func verify(_ files: [MigrationFile]) async throws -> Int {
        let rows = try await applied()
        for (index, row) in rows.enumerated() {
            let fileName = MigrationFile.fileName(row.version, row.name)
            guard row.version == index + 1, row.version <= files.count, files[index].name == row.name else {
                throw MigrationError(
                    .historyUnknown,
                    "The database has \(fileName) applied, which does not continue these files. Nothing was changed; "
                        + "use the build that applied it, or a newer one."
                )
            }
            let file = files[index]
            guard let checksum = row.checksum else {
                try await note(file)
                continue
            }
            guard checksum == file.checksum else {
                throw MigrationError(
                    .checksumMismatch,
                    "\(fileName) was changed after it was applied. Nothing was changed; restore the file and put the "
                        + "change into a new migration."
                )
            }
        }
        return rows.count
    }

    private func statuses(of files: some Sequence<MigrationFile>) async throws -> [MigrationStatus] {
        let rows = try await applied()
        return files.map { Self.status(of: $0, rows) }
    }

    static func compare(_ files: [MigrationFile], with rows: [ListMigrations.Row]) -> [MigrationStatus] {
        let known = files.map { status(of: $0, rows) }
        let unknown = rows.filter { row in !files.contains { $0.version == row.version } }
        return known
            + unknown.map { MigrationStatus(version: $0.version, name: $0.name, state: .unknown(at: $0.appliedAt)) }
    }

    private static func status(of file: MigrationFile, _ rows: [ListMigrations.Row]) -> MigrationStatus {
        var state = MigrationStatus.State.pending
        if let row = rows.first(where: { $0.version == file.version }) {
            let isSame = row.name == file.name && (row.checksum ?? file.checksum) == file.checksum
            state = isSame ? .applied(at: row.appliedAt) : .changed(at: row.appliedAt)
        }
        return MigrationStatus(version: file.version, name: file.name, state: state)
    }

    private func applied() async throws -> [ListMigrations.Row] {
        try await ask { () async throws(PostgresError) in
            guard try await pool.execute(HasSchemaMigrations()).first == true else { return [] }
            return try await pool.execute(ListMigrations())
        }
    }

    private func ask<R: Sendable>(_ body: () async throws(PostgresError) -> R) async throws -> R {
        do throws(PostgresError) {
            return try await body()
        } catch {
            if error.code == .cancelled { throw CancellationError() }
            throw MigrationError(
                .database, "schema_migrations could not be read or written; no file was run by this call.",
                underlying: error
            )
        }
    }
}

// One migrator at a time.
extension Migrator {
    private func locked<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        let wait = LockWait()
        return try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask {
                try await lock {
                    wait.isOver.withLock { $0 = true }
                    return try await body()
                }
            }
            group.addTask {
                try await Task.sleep(for: lockTimeout)
                return nil
            }
            while let result = try await group.next() {
                guard let result else {
                    if wait.isOver.withLock({ $0 }) { continue }
                    throw MigrationError(
                        .locked,
                        "The migrators' lock was not free within \(lockTimeout). Nothing was changed; try again."
                    )
                }
                group.cancelAll()
                return result
            }
            throw CancellationError()
        }
    }

    private func lock<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        do {
            return try await pool.withSessionLock(Self.lockKey, body)
        } catch let error as PostgresError {
            throw MigrationError(
                .database,
                "The migrators' lock could not be taken or was lost; ask for the status before running again.",
                underlying: error
            )
        }
    }
}

/// Whether the lock was had; shared by the task that waits for it and the one that watches the clock.
private final class LockWait: Sendable {
    let isOver = Mutex(false)
}
