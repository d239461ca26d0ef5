internal import FoundationEssentials
internal import Glibc

/// Makes a stack of a backup: its secrets and its database; JetStream and Redis begin empty.
///
/// `golden up` then starts it as any other. Its orchestrators find streams that began anew, and derive the messages of
/// every running attempt from the database again. The new database is filled beside the one that is there, so that a
/// stack which is to be replaced goes only once all of the backup has been read.
struct StackRestore: Sendable {
    /// In the database's folder: where the new one is until it is complete.
    static let freshName = "restored"

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
        try requireBackupOutside()
        if try StackRecord.load(from: folder)?.supervisor?.isRunning == true { throw running() }
        let hadStack = folder.holdsStack
        if hadStack, !replaces { throw inPlace() }
        try folder.create()
        guard let lock = try FolderLock.acquire(folder.lock) else { throw running() }
        let prepared: (plan: StackPlan, record: StackRecord)
        do throws(CLIError) {
            try await backup.checkDump(environment: environment)
            prepared = try await prepare(isCluster, secrets)
            try await fill(prepared.plan, report)
        } catch {
            undo(hadStack, report)
            throw CLIError(
                error.code, error.message,
                kept: hadStack ? "The stack in \(folder.path) is as it was." : "No stack was made in \(folder.path).",
                next: error.next, underlying: error.underlying
            )
        }
        report("putting it in place")
        do throws(CLIError) {
            try replace(prepared.plan, prepared.record)
        } catch {
            throw CLIError(
                error.code, error.message,
                kept: "The backup. The stack in \(folder.path) may be neither the old nor the new one.",
                next: "Mend that, then: golden restore \(backup.path) --replace --data \(folder.path)",
                underlying: error.underlying
            )
        }
        _ = consume lock
    }

    private func prepare(
        _ isCluster: Bool, _ secrets: StackSecrets
    ) async throws(CLIError) -> (plan: StackPlan, record: StackRecord) {
        var options = StackOptions(folder: folder, port: port)
        options.isCluster = isCluster
        return try await StackPreparation(options: options, environment: environment, restored: secrets).prepare()
    }

    /// The database of the backup, complete and on disk, in a folder beside the one it will take the place of.
    private func fresh(_ plan: StackPlan) throws(CLIError) -> PostgresStore {
        try plan.postgres(in: "\(plan.postgresFolder)/\(Self.freshName)")
    }

    private func fill(_ plan: StackPlan, _ report: @escaping @Sendable (String) -> Void) async throws(CLIError) {
        let postgres = try fresh(plan)
        let environment = plan.baseEnvironment
        report("creating the database")
        try StackFolder.remove(postgres.folder)
        try await postgres.makeFolder(environment: environment)
        try await postgres.initialise(environment: environment)
        let keeper = ProcessKeeper(
            postgres.spec(environment: environment), log: folder.log(of: "postgres"), isRoot: plan.isRoot
        ) { _ in }
        let outcome = await withTaskGroup(of: Void.self) { group -> Result<Void, CLIError> in
            group.addTask { await keeper.run() }
            defer { group.cancelAll() }
            do throws(CLIError) {
                try await keeper.waitUntilReady()
                report("reading the backup")
                try await backup.load(into: postgres, plan.secrets, environment: environment)
                try await postgres.seal(environment: environment)
                await keeper.stop()
                return .success(())
            } catch {
                await keeper.stop()
                return .failure(error)
            }
        }
        try outcome.get()
    }

    /// Takes away what was made so far; the logs stay, which say why it failed.
    private func undo(_ hadStack: Bool, _ report: (String) -> Void) {
        do throws(CLIError) {
            let place = realPath(folder.postgresLink)
            guard PostgresPlace.isDatabase(place, of: folder) else { return }
            if hadStack { return try StackFolder.remove("\(place)/\(Self.freshName)") }
            try PostgresPlace.deleteFallback(place, of: folder)
            for part in [folder.postgresLink] + folder.derived { try StackFolder.remove(part) }
        } catch {
            report(error.message)
        }
    }

    /// Here the old stack goes: first its messages, which its database can do without and the new one must never see.
    private func replace(_ plan: StackPlan, _ record: StackRecord) throws(CLIError) {
        let fresh = try fresh(plan)
        var postgres = fresh
        postgres.folder = plan.postgresFolder
        for part in folder.derived { try StackFolder.remove(part) }
        try postgres.replaceData(by: fresh)
        try plan.secrets.save(to: folder)
        for name in [ClusterPlan.primaryName, ClusterPlan.secondName] {
            try StackFolder.remove("\(postgres.folder)/\(name)")
        }
        try record.stopped().save(to: folder)
        try StackFolder.remove(fresh.folder)
        try postgres.removeReplaced()
    }

    /// A backup among a stack's own files would go with them.
    private func requireBackupOutside() throws(CLIError) {
        let place = realPath(backup.path)
        let isInside = folder.parts.map(realPath).contains { place == $0 || place.hasPrefix("\($0)/") }
        guard !isInside, place != realPath(folder.path) else {
            throw CLIError(
                .folderUnusable, "\(backup.path) lies among the files of the stack in \(folder.path).",
                kept: "Nothing was changed.",
                next: "Copy database.dump, secrets.json and backup.json to a folder of their own and restore that."
            )
        }
    }

    private func inPlace() -> CLIError {
        CLIError(
            .folderUnusable, "\(folder.path) holds a stack.", kept: "It was left as it is.",
            next: "Add --replace to have the backup in its place, or choose another --data DIR."
        )
    }

    private func running() -> CLIError {
        CLIError(.stackRunning, "A stack runs in \(folder.path).", kept: "It goes on untouched.", next: "golden down")
    }
}
