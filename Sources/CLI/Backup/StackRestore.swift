internal import FoundationEssentials
internal import Glibc

/// Makes a stack of a backup: its secrets and its database; JetStream and Redis begin empty.
///
/// `golden up` then starts it as any other. Its orchestrators find streams that began anew, and derive the messages of
/// every running attempt from the database again.
struct StackRestore: Sendable {
    let backup: StackBackup
    let folder: StackFolder
    let environment: [String: String]
    let port: Int?
    /// Whether a stopped stack in the folder may go.
    let replaces: Bool

    func run(report: @escaping @Sendable (String) -> Void) async throws(CLIError) {
        umask(0o077)
        let isCluster = try backup.readNote()
        guard let secrets = try StackSecrets.load(from: StackFolder(backup.path)) else {
            throw CLIError(.fileUnreadable, "\(backup.path) holds no secrets.json.", kept: "Nothing was changed.")
        }
        let last = try StackRecord.load(from: folder)
        if let last { try remove(last) }
        try folder.create()
        guard let lock = try FolderLock.acquire(folder.lock) else { throw running() }
        try secrets.save(to: folder)
        var options = StackOptions(folder: folder, port: port ?? last?.ports.api)
        options.isCluster = isCluster
        let prepared = try await StackPreparation(options: options, environment: environment).prepare()
        try await fill(prepared.plan, secrets, report)
        try prepared.record.stopped().save(to: folder)
        _ = consume lock
    }

    private func remove(_ last: StackRecord) throws(CLIError) {
        if last.supervisor?.isRunning == true { throw running() }
        guard replaces else {
            throw CLIError(
                .folderUnusable, "\(folder.path) holds a stack.", kept: "It was left as it is.",
                next: "Add --replace to have the backup in its place, or choose another --data DIR."
            )
        }
        try StackStop.delete(folder, last)
    }

    private func fill(
        _ plan: StackPlan, _ secrets: StackSecrets, _ report: @escaping @Sendable (String) -> Void
    ) async throws(CLIError) {
        let postgres = try plan.postgres()
        report("creating the database")
        try await postgres.initialise(environment: plan.baseEnvironment)
        let keeper = ProcessKeeper(
            postgres.spec(environment: plan.baseEnvironment), log: folder.log(of: "postgres"), isRoot: plan.isRoot
        ) { _ in }
        let outcome = await withTaskGroup(of: Void.self) { group -> Result<Void, CLIError> in
            group.addTask { await keeper.run() }
            defer { group.cancelAll() }
            do throws(CLIError) {
                try await keeper.waitUntilReady()
                report("reading the backup")
                try await backup.load(into: postgres, secrets, environment: plan.baseEnvironment)
                try await postgres.seal(environment: plan.baseEnvironment)
                await keeper.stop()
                return .success(())
            } catch {
                await keeper.stop()
                return .failure(error)
            }
        }
        try outcome.get()
    }

    private func running() -> CLIError {
        CLIError(.stackRunning, "A stack runs in \(folder.path).", kept: "It goes on untouched.", next: "golden down")
    }
}
