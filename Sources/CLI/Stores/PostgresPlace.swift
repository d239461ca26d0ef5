internal import FoundationEssentials
internal import Glibc

/// Decides where the database's files lie.
///
/// Run by an ordinary account, they lie in `<data>/postgres`. Run by root, the database belongs to the `postgres`
/// account, which must be able to walk there: when it can reach the data folder (which then is 0711: walk through,
/// see nothing), the place is the same; when it cannot (below /root, say), the place is `/var/lib/golden/<stack id>`,
/// `<data>/postgres` points there, and `golden down --delete` removes it with the rest.
struct PostgresPlace: Sendable {
    static let account = "postgres"
    static let fallbackRoot = "/var/lib/golden"
    /// In the fallback folder: the path of the stack.json it belongs to. A copy of that stack's folder is told from the
    /// stack by it, and `golden doctor` finds strays.
    static let originFile = "origin"

    let stack: StackFolder
    let id: String
    let isRoot: Bool
    let environment: [String: String]

    var fallback: String { "\(Self.fallbackRoot)/\(id)" }

    /// Creates the folder with the right owner and returns it.
    /// - Parameter isRestored: it is about to be filled, so that the one recorded may be gone.
    func prepare(recorded: String?, isRestored: Bool) async throws(CLIError) -> String {
        let inside = stack.postgresLink
        guard isRoot else {
            try make(inside)
            return inside
        }
        guard getpwnam(Self.account) != nil else {
            throw CLIError(
                .missingProgram,
                "There is no account called \(Self.account), which the database needs when golden is root.",
                next: "apt-get install -y postgresql-15, or run golden as an ordinary account."
            )
        }
        let folder = try await choose(inside, recorded, isRestored)
        if folder == inside { try open(stack.path, to: 0o711) } else { try link(to: folder) }
        try make(folder)
        try await Tool.run(["chown", "\(Self.account):", folder], environment: environment)
            .check("chown", "Cannot give \(folder) to the account \(Self.account).")
        if folder != inside {
            try StackFolder.write(stack.record, to: "\(folder)/\(Self.originFile)", isSynced: true)
        }
        return folder
    }

    /// A database that exists stays where it is, even when its account can no longer reach it: an error then is better
    /// than an empty database in its stead.
    private func choose(_ inside: String, _ recorded: String?, _ isRestored: Bool) async throws(CLIError) -> String {
        let files = FileManager.default
        if let place = [recorded, destination(of: inside)].compactMap(\.self).first(where: Self.isFallback) {
            guard Self.isDatabase(place, of: stack) else { throw copied(place) }
            if files.fileExists(atPath: place) { return place }
            guard isRestored || place != recorded else { throw gone(place) }
            return fallback
        }
        if files.fileExists(atPath: "\(inside)/\(PostgresStore.markerName)") { return inside }
        return await isReachable() ? inside : fallback
    }

    private static func isFallback(_ place: String) -> Bool {
        place.hasPrefix("\(fallbackRoot)/") && Sibling.parent(of: place) == fallbackRoot
    }

    /// Whether the database is that of the stack in the folder, which may have been moved: the stack that it names is
    /// this one, or is there no more. That of a copied folder names the stack which was copied.
    static func isDatabase(_ place: String, of stack: StackFolder) -> Bool {
        guard let origin = readSmallFile("\(place)/\(originFile)"), origin != stack.record,
            isClaimed(place, by: origin), let named = FolderIdentity(of: Sibling.parent(of: origin))
        else { return true }
        return FolderIdentity(of: stack.path)?.isSame(as: named) == true
    }

    /// Whether the stack of that record has the database: another may have begun where the database's own was moved
    /// away. One whose record cannot be read may have it.
    static func isClaimed(_ place: String, by origin: String) -> Bool {
        do {
            guard let record = try StackRecord.load(from: StackFolder(Sibling.parent(of: origin))) else { return false }
            return realPath(record.postgresFolder) == realPath(place)
        } catch {
            return true
        }
    }

    private func copied(_ place: String) -> CLIError {
        CLIError(
            .folderUnusable, "\(stack.path) is a copy: its database, \(place), is another stack's.",
            kept: "Nothing was changed.",
            next: "golden backup and golden restore make a second stack; golden down --delete --data \(stack.path) "
                + "takes the copy away, without the database"
        )
    }

    private func gone(_ place: String) -> CLIError {
        CLIError(
            .folderUnusable, "The database of the stack in \(stack.path) is gone: there is no \(place).",
            kept: "Nothing was changed.",
            next: "Put it back, or golden restore BACKUP --replace --data \(stack.path), or start anew: "
                + "golden down --delete --data \(stack.path)"
        )
    }

    /// Removes the stack's database where it lies below `fallbackRoot`, and that folder when it was the last; others
    /// are left alone. The stack's record is still there.
    static func deleteFallback(_ folder: String, of stack: StackFolder) throws(CLIError) {
        guard isFallback(folder), isDatabase(folder, of: stack) else { return }
        try StackFolder.remove(folder)
        // Fails while other stacks have theirs there, as it should.
        _ = rmdir(fallbackRoot)
    }

    /// True when the postgres account may walk into the data folder's parent.
    private func isReachable() async -> Bool {
        let account = Self.account
        let test = ["test", "-x", Sibling.parent(of: stack.path)]
        let line = ["setpriv", "--reuid", account, "--regid", account, "--init-groups"] + test
        return await Tool.run(line, environment: environment).isSuccess
    }

    private func link(to folder: String) throws(CLIError) {
        try make(Self.fallbackRoot, mode: 0o711)
        try StackFolder.remove(stack.postgresLink)
        do {
            try FileManager.default.createSymbolicLink(atPath: stack.postgresLink, withDestinationPath: folder)
        } catch {
            throw CLIError(.folderUnusable, "Cannot link \(stack.postgresLink) to \(folder).", underlying: error)
        }
    }

    /// Where a link leads; nil for what is none.
    private func destination(of path: String) -> String? {
        do { return try FileManager.default.destinationOfSymbolicLink(atPath: path) } catch { return nil }
    }

    private func make(_ folder: String, mode: Int = 0o700) throws(CLIError) {
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: mode]
            )
        } catch {
            throw CLIError(.folderUnusable, "Cannot create \(folder).", underlying: error)
        }
    }

    private func open(_ folder: String, to mode: mode_t) throws(CLIError) {
        guard chmod(folder, mode) == 0 else {
            throw CLIError(.folderUnusable, "Cannot change the mode of \(folder): \(systemError()).")
        }
    }
}
