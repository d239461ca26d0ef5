internal import Contracts
internal import FoundationEssentials
internal import Glibc

/// What `golden backup` writes and `golden restore` reads.
///
/// ```
/// <backup>/            0700
///   database.dump      pg_dump's custom format: one consistent snapshot of the whole database
///   secrets.json       0600: what the database's sealed values were sealed with, and what signs tokens
///   backup.json        when it was taken, by which version, of what; written last, so that a half backup has none
/// ```
/// JetStream and Redis are not in it: what they hold is derived from the database again.
struct StackBackup: Sendable {
    let path: String

    /// - Parameter path: relative paths start at the current folder.
    init(_ path: String) { self.path = StackFolder(path).path }

    var dump: String { "\(path)/database.dump" }
    var note: String { "\(path)/backup.json" }

    /// Takes one of a stack that runs.
    /// - Returns: the dump's size in bytes.
    func take(
        of folder: StackFolder, _ record: StackRecord, environment: [String: String]
    ) async throws(CLIError) -> Int {
        guard let secrets = try StackSecrets.load(from: folder) else {
            throw CLIError(.noSecret, "The stack in \(folder.path) has no secrets.")
        }
        // Also where the folder is there already and open to others.
        umask(0o077)
        try makeFolder()
        let fresh = "\(dump).new"
        try StackFolder.remove(fresh)
        let programs = try Programs.postgresFolder(
            environment: environment, data: PostgresStore.data(in: record.postgresFolder))
        let dumped = await Tool.run(
            ["\(programs)/pg_dump", "--format=custom", "--no-owner", "--file=\(fresh)"],
            environment: Self.login(record.ports.postgresServers, secrets, environment), within: Tool.wholeDataMax
        )
        try dumped.check("pg_dump", "The database could not be backed up.")
        try secrets.save(to: StackFolder(path))
        try FileManager.default.moveReplacing(fresh, dump)
        let json = JSONWriter.object { writer in
            writer.field("v", 1)
            writer.field("version", Version.current)
            writer.field("taken_at", Timestamp.text(Date()))
            writer.field("cluster", record.ports.cluster != nil)
        }
        try StackFolder.write(json.text + "\n", to: note, isSynced: true)
        var information = stat()
        return stat(dump, &information) == 0 ? Int(information.st_size) : 0
    }

    /// True when the backup is of a clustered stack.
    func readNote() throws(CLIError) -> Bool {
        guard let text = readSmallFile(note) else {
            throw CLIError(
                .fileUnreadable, "\(path) is no backup: \(note) cannot be read.", kept: "Nothing was changed."
            )
        }
        do {
            var reader = try JSONReader(try JSON(parsing: text.utf8))
            try reader.requireVersion()
            return try reader.optionalBool("cluster") ?? false
        } catch {
            throw CLIError(.fileUnreadable, "\(note) is damaged.", kept: "Nothing was changed.", underlying: error)
        }
    }

    /// Looks at the dump's table of contents: whether the rest is whole shows only when it is read.
    func checkDump(environment: [String: String]) async throws(CLIError) {
        let program = "\(try Programs.postgresFolder(environment: environment))/pg_restore"
        let listed = await Tool.run([program, "--list", "--file=/dev/null", dump], environment: environment)
        try listed.check("pg_restore --list", "\(dump) is no dump that can be read.")
    }

    /// Fills the stack's new and empty database.
    func load(
        into postgres: PostgresStore, _ secrets: StackSecrets, environment: [String: String]
    ) async throws(CLIError) {
        let restored = await Tool.run(
            [
                "\(postgres.programs)/pg_restore", "--exit-on-error", "--single-transaction", "--no-owner",
                "--dbname=\(PostgresStore.database)", dump,
            ], environment: Self.login([postgres.port], secrets, environment), within: Tool.wholeDataMax
        )
        try restored.check("pg_restore", "The backup could not be read into the database.")
    }

    /// In the environment, so that no password stands in a process list.
    private static func login(
        _ ports: [Int], _ secrets: StackSecrets, _ environment: [String: String]
    ) -> [String: String] {
        environment.merging([
            "PGHOST": ports.map { _ in "127.0.0.1" }.joined(separator: ","),
            "PGPORT": ports.map(String.init).joined(separator: ","), "PGUSER": PostgresStore.role,
            "PGPASSWORD": secrets.postgres, "PGDATABASE": PostgresStore.database,
            "PGTARGETSESSIONATTRS": "read-write",
        ]) { $1 }
    }

    private func makeFolder() throws(CLIError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw CLIError(.folderUnusable, "Cannot create \(path).", underlying: error)
        }
    }
}
