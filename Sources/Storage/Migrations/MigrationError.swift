/// Why the schema could not be read or moved. Every migration is one transaction: what the message does not say was
/// applied was not.
package struct MigrationError: Error, Sendable, CustomStringConvertible {
    /// Stable codes.
    package enum Code: String, Sendable, Hashable, CaseIterable {
        /// The folder or one of its files could not be read.
        case folderUnreadable = "migration_folder_unreadable"
        /// A file is not named, numbered, paired or shaped as a migration must be.
        case fileInvalid = "migration_file_invalid"
        /// A file is no longer what was applied.
        case checksumMismatch = "migration_checksum_mismatch"
        /// The database is ahead of the files, or has gaps that the files do not.
        case historyUnknown = "migration_history_unknown"
        /// The target version does not exist, or does not lie in the direction asked for.
        case targetInvalid = "migration_target_invalid"
        /// Another migrator held the lock for all of `lockTimeout`.
        case locked = "migration_locked"
        /// The SQL of a file was refused; its transaction was rolled back.
        case failed = "migration_failed"
        /// The connection ended while a file committed: it was applied, or it was not.
        case outcomeUnknown = "migration_outcome_unknown"
        /// A file ran but did not write or remove its row in `schema_migrations`.
        case notRecorded = "migration_not_recorded"
        /// The database could not be asked.
        case database = "migration_database"
    }

    package let code: Code
    /// What happened, what was kept and what to do next.
    package let message: String
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.underlying = underlying
    }

    package var description: String {
        let cause = underlying.map { " (\($0))" } ?? ""
        return "\(code.rawValue): \(message)\(cause)"
    }
}
