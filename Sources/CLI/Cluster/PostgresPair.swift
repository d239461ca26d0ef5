/// Two Postgres servers: a primary, and a standby that streams from it and takes its place when it ends.
///
/// Against split brain and loss: this supervisor alone promotes, it is the parent of both servers, and it promotes only
/// when the primary's process has ended (a server that merely hangs stays primary) and the standby is known to have all
/// that was acknowledged. That it knows while replication is synchronous; before commits may go on without the standby,
/// it takes back that knowledge. Whoever was primary before comes back as a copy of the new primary, never with its own
/// files.
actor PostgresPair {
    static let watchEvery: Duration = .seconds(1)
    static let primaryWithin: Duration = .seconds(60)
    static let settleTime: Duration = .seconds(1)
    static let pollEvery: Duration = .milliseconds(100)
    /// Read by both servers' configuration; says whether commits wait for the standby.
    static let synchronyFile = "golden_synchrony.conf"

    private let servers: [PostgresStore]
    private let environment: [String: String]
    private let report: @Sendable (String) async -> Void
    private let recordFile: String
    private var primary: Int
    /// The standby has every commit that a client was told of.
    private var isInSync = false
    /// One change at a time: the watcher and the servers' keepers all come here.
    private var isChanging = false

    init(
        _ servers: [PostgresStore], recordFile: String, environment: [String: String],
        report: @escaping @Sendable (String) async -> Void
    ) {
        self.servers = servers
        self.recordFile = recordFile
        self.environment = environment
        // Nothing is true any more of servers that are being given up.
        self.report = { words in if !Task.isCancelled { await report(words) } }
        primary = readSmallFile(recordFile).flatMap { Int($0) } == 2 ? 1 : 0
    }

    /// Makes the one server's files what they have to be before it starts.
    func prepare(_ server: Int, isFirst: Bool) async throws(CLIError) {
        await begin()
        defer { isChanging = false }
        if server == primary, !isFirst { try await failOver(from: server) }
        if server == primary {
            isInSync = false
            // Recorded as the primary, and perhaps not promoted any more by what was cut short.
            try StackFolder.remove("\(servers[server].data)/standby.signal")
            try await setSynchrony(of: server, "")
        } else {
            isInSync = false
            if await isReady(primary) { try await commitAlone() }
            try await copy(to: server)
        }
    }

    /// Keeps commits waiting for the standby while there is one, until `stop` opens or the task is cancelled.
    func watch(until stop: Latch) async {
        while !stop.isOpen, !Task.isCancelled {
            await stop.wait(atMost: Self.watchEvery)
            guard !isChanging, !stop.isOpen, !Task.isCancelled else { continue }
            await begin()
            do throws(CLIError) {
                try await look()
            } catch {
                await report("the standby was not looked at: \(error.message)")
            }
            isChanging = false
        }
    }

    private func look() async throws(CLIError) {
        // No answer: the primary is ending, and its keeper comes next.
        guard let streaming = await ask(.standbys) else { return }
        if streaming == "0", isInSync {
            try await commitAlone()
            await report("\(name(1 - primary)) is away; commits do not wait for it")
        } else if streaming != "0", !isInSync {
            try await commitTogether()
        }
    }

    /// The knowledge goes first, then the waiting.
    private func commitAlone() async throws(CLIError) {
        isInSync = false
        try await setSynchrony(of: primary, "")
        _ = await ask(.reload)
    }

    /// The waiting comes first; the knowledge when all that was committed before has arrived.
    private func commitTogether() async throws(CLIError) {
        try await setSynchrony(of: primary, "synchronous_standby_names = '*'\n")
        guard await ask(.reload) == "t" else { return }
        do { try await Task.sleep(for: Self.settleTime) } catch { return }
        guard let place = await ask(.position) else { return }
        for _ in 0..<50 {
            if await ask(.arrived(at: place)) == "1" {
                isInSync = true
                return await report("\(name(1 - primary)) has everything; commits wait for it")
            }
            do { try await Task.sleep(for: Self.pollEvery) } catch { return }
        }
        try await commitAlone()
    }

    private func failOver(from old: Int) async throws(CLIError) {
        let new = 1 - old
        guard isInSync, await isReady(new) else {
            return await report("\(name(old)) ended and starts again: its standby may lack something")
        }
        // From here on the old one never starts with its own files again, whatever becomes of the promotion.
        isInSync = false
        primary = new
        try StackFolder.write("\(new + 1)", to: recordFile, isSynced: true)
        let store = servers[new]
        let promoted = await store.asAccount(
            ["\(store.programs)/pg_ctl", "promote", "--pgdata", store.data, "--wait", "--timeout=30"], input: "",
            environment
        )
        try promoted.check("pg_ctl promote", "\(name(new)) could not take over.")
        await report("\(name(old)) ended; \(name(new)) took over")
    }

    /// A fresh copy of the primary, which streams from it.
    private func copy(to server: Int) async throws(CLIError) {
        let (source, target) = (servers[primary], servers[server])
        let limit = ContinuousClock.now + Self.primaryWithin
        while await !isReady(primary) {
            do { try await Task.sleep(for: Self.pollEvery) } catch { return }
            guard ContinuousClock.now < limit else {
                throw CLIError(.processFailed, "\(name(primary)) was not ready to be copied.")
            }
        }
        try await target.makeFolder(environment: environment)
        try StackFolder.remove(target.data)
        let copied = await target.asAccount(
            [
                "\(source.programs)/pg_basebackup", "--pgdata", target.data, "--host=127.0.0.1",
                "--port=\(source.port)", "--username=postgres", "--write-recovery-conf", "--wal-method=stream",
                "--checkpoint=fast", "--no-sync",
            ], input: "", environment.merging(["PGPASSWORD": source.adminPassword]) { $1 }, within: Tool.wholeDataMax
        )
        try copied.check("pg_basebackup", "\(name(server)) could not be made a copy of \(name(primary)).")
        try await setSynchrony(of: server, "")
    }

    private func setSynchrony(of server: Int, _ line: String) async throws(CLIError) {
        let file = "\(servers[server].data)/\(Self.synchronyFile)"
        try StackFolder.write(line, to: file)
        try await servers[server].hand(file, environment)
        try await include(in: servers[server])
    }

    /// Lets the server read that file, too, once; copies of it bring the line along.
    private func include(in store: PostgresStore) async throws(CLIError) {
        let configuration = "\(store.data)/postgresql.conf"
        let line = "include_if_exists '\(Self.synchronyFile)'"
        if readSmallFile(configuration)?.contains(line) == true { return }
        let added = await store.asAccount(
            ["sh", "-c", "cat >> \"$0\"", configuration], input: line + "\n", environment)
        try added.check("cat", "The database's configuration could not be written.")
    }

    private func isReady(_ server: Int) async -> Bool {
        await servers[server].spec(environment: environment).probe.check()
    }

    /// The only value of one statement to the primary; nil when it does not answer.
    private func ask(_ question: ReplicationQuestion) async -> String? {
        let store = servers[primary]
        let login = [
            "PGPASSWORD": store.adminPassword, "PGCONNECT_TIMEOUT": "2", "PGOPTIONS": "-c statement_timeout=3000",
        ]
        let line = [
            "\(store.programs)/psql", "--no-psqlrc", "--tuples-only", "--no-align", "--host=127.0.0.1",
            "--port=\(store.port)", "--username=postgres", "--dbname=postgres", "--set=ON_ERROR_STOP=1",
            "--set=place=\(question.place)",
        ]
        let outcome = await Tool.run(line, input: question.sql, environment: environment.merging(login) { $1 })
        return outcome.isSuccess ? outcome.output.split(whereSeparator: \.isNewline).first.map(String.init) : nil
    }

    private func begin() async {
        while isChanging {
            do { try await Task.sleep(for: Self.pollEvery) } catch { break }
        }
        isChanging = true
    }

    private func name(_ server: Int) -> String { "postgres-\(server + 1)" }
}
