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
    /// In the fallback folder: the path of the stack.json it belongs to, so that `golden doctor` finds strays.
    static let originFile = "origin"

    let stack: StackFolder
    let id: String
    let isRoot: Bool
    let environment: [String: String]

    var fallback: String { "\(Self.fallbackRoot)/\(id)" }

    /// Creates the folder with the right owner and returns it.
    func prepare(recorded: String?) async throws(CLIError) -> String {
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
        let folder = await choose(inside, recorded)
        if folder == inside { try open(stack.path, to: 0o711) } else { try prepareFallback() }
        try make(folder)
        try await Tool.run(["chown", "\(Self.account):", folder], environment: environment)
            .check("chown", "Cannot give \(folder) to the account \(Self.account).")
        if folder == fallback { try StackFolder.write(stack.record, to: "\(folder)/\(Self.originFile)") }
        return folder
    }

    /// A database that exists stays where it is, even when its account can no longer reach it: an error then is better
    /// than an empty database in its stead.
    private func choose(_ inside: String, _ recorded: String?) async -> String {
        let files = FileManager.default
        if let recorded, recorded.hasPrefix("\(Self.fallbackRoot)/"), files.fileExists(atPath: recorded) {
            return recorded
        }
        if files.fileExists(atPath: "\(inside)/\(PostgresStore.markerName)") { return inside }
        return await isReachable() ? inside : fallback
    }

    /// Removes a database that lies below `fallbackRoot`, and that folder when it was the last; others are left alone.
    static func deleteFallback(_ folder: String) throws(CLIError) {
        guard folder.hasPrefix("\(fallbackRoot)/"), Sibling.parent(of: folder) == fallbackRoot else { return }
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

    private func prepareFallback() throws(CLIError) {
        try make(Self.fallbackRoot, mode: 0o711)
        try StackFolder.remove(stack.postgresLink)
        do {
            try FileManager.default.createSymbolicLink(atPath: stack.postgresLink, withDestinationPath: fallback)
        } catch {
            throw CLIError(.folderUnusable, "Cannot link \(stack.postgresLink) to \(fallback).", underlying: error)
        }
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
