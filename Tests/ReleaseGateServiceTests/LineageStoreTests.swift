import Foundation
import Postgres
import ReleaseGateCore
import ReleaseGateService
import Storage
import TestSupport
import Testing

/// Every place where a lineage is kept keeps it alike.
@Suite(.timeLimit(.minutes(10))) struct `Lineage stores` {
    enum Kind: String, CaseIterable, Sendable { case folder, postgres }

    static func event(_ number: Int) throws -> LineageEntry.Event {
        LineageEntry.Event(
            atSeconds: 1_793_491_200 + number, environment: .dev, version: try #require(Version("1.0.\(number)")),
            digests: [], kind: .cut, actor: "ann", reason: "number \(number)")
    }

    /// A database of its own, or a folder.
    private static func place(_ kind: Kind) async throws -> String {
        switch kind {
        case .folder: try temporaryFolder("lineage").path
        case .postgres: try await PreflightStores.migrated(try await TestPostgres.shared())
        }
    }

    /// As a gate opens it, with connections of its own.
    static func with<Result: Sendable>(
        _ kind: Kind, _ place: String, _ body: @Sendable @escaping (any LineageStore) async throws -> Result
    ) async throws -> Result {
        guard kind == .postgres else { return try await body(FolderLineage(folder: place)) }
        var configuration = PostgresConfiguration(connectionString: place, applicationName: "test")
        configuration.maxConnections = 2
        let pool = PostgresPool(configuration, logger: PreflightStores.logger)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await pool.run()
                return nil
            }
            group.addTask {
                do {
                    let result = try await body(PostgresLineage(store: ReleaseStore(pool: pool)))
                    await pool.shutdown(within: .seconds(5))
                    return result
                } catch {
                    await pool.shutdown(within: .zero)
                    throw error
                }
            }
            for try await result in group { if let result { return result } }
            throw TestFailure(description: "the pool ended")
        }
    }

    @Test(arguments: Kind.allCases)
    func `entries keep their order, and a place that is taken keeps what it has`(kind: Kind) async throws {
        let place = try await Self.place(kind)
        try await Self.with(kind, place) { store in
            let book = LineageBook(store: store)
            let document = LineageDocument(.evidence, Array(#"{"a":1}"#.utf8))
            for number in 0..<3 { try await book.record(try Self.event(number), naming: [document]) }
            #expect(try await book.entries().map(\.event.reason) == ["number 0", "number 1", "number 2"])
            #expect(try await store.document(document.sha256) == document.bytes)
            #expect(try await store.document(String(repeating: "0", count: 64)) == nil)
            let entry = try Lineage.entry(try Self.event(9), after: try await book.entries().last)
            let late = LineageEntry(sequence: 1, previousSHA256: entry.previousSHA256, event: entry.event)
            let other = LineageDocument(.evidence, Array(#"{"b":2}"#.utf8))
            let record = LineageRecord(
                entry: try Canonical.bytes(late), sha256: try Canonical.digest(late).hexadecimal)
            #expect(try await store.append(record, at: 1, naming: [other]) == false)
            #expect(try await store.document(other.sha256) == nil)
            #expect(try await book.entries().count == 3)
        }
        // Whoever opens it later sees the same.
        let count = try await Self.with(kind, place) { try await LineageBook(store: $0).entries().count }
        #expect(count == 3)
    }

    @Test(arguments: Kind.allCases)
    func `gates that record at once all get a place`(kind: Kind) async throws {
        let place = try await Self.place(kind)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for gate in 0..<4 {
                group.addTask {
                    try await Self.with(kind, place) { store in
                        let book = LineageBook(store: store)
                        for number in 0..<10 { try await book.record(try Self.event(gate * 10 + number)) }
                    }
                }
            }
            try await group.waitForAll()
        }
        let entries = try await Self.with(kind, place) { try await LineageBook(store: $0).entries() }
        #expect(entries.map(\.sequence) == Array(0..<40))
        #expect(Set(entries.map(\.event.reason)).count == 40)
    }

    @Test(arguments: ["release_lineage", "release_evidence"], ["UPDATE", "DELETE", "TRUNCATE"])
    func `the database changes nothing, whoever asks`(table: String, verb: String) async throws {
        let postgres = try await TestPostgres.shared()
        let url = try await Self.place(.postgres)
        try await Self.with(.postgres, url) { store in
            let document = LineageDocument(.evidence, Array("{}".utf8))
            try await LineageBook(store: store).record(try Self.event(1), naming: [document])
        }
        let statement =
            switch verb {
            case "UPDATE": "UPDATE \(table) SET stored_at = now()"
            case "DELETE": "DELETE FROM \(table)"
            default: "TRUNCATE \(table)"
            }
        let database = try #require(URLComponents(string: url)?.user)
        // By a superuser, whom no grant binds.
        let mighty = await #expect(throws: (any Error).self) { try await postgres.sql(statement, database: database) }
        #expect("\(try #require(mighty))".contains("append-only"))
        let own = try await blocking {
            try Command.run("psql", ["-X", "-c", statement, url], environment: ["PGCONNECT_TIMEOUT": "30"])
        }
        #expect(own.status != 0 && own.output.contains("permission denied"), "\(own.output)")
    }

    /// The gate's process is killed while its transaction waits. What it had sent, the server may still carry out: then
    /// the entry is there with all that it names, and otherwise nothing of it.
    @Test func `a gate that is killed while it records has recorded all or nothing`() async throws {
        let postgres = try await TestPostgres.shared()
        let url = try await Self.place(.postgres)
        let database = try #require(URLComponents(string: url)?.user)
        let folder = try ReleaseFolder()
        try folder.writeLiveEvidence(endingAt: Date(), badCanary: nil)
        try folder.writeRelease("1.2.0-rc.1")
        try folder.write("gate.yaml", try folder.read("gate.yaml") + "\nlineage: postgres\n")
        func gate() throws -> Process {
            let process = Process()
            process.executableURL = URL(filePath: try LineProcess.built("release-gate"))
            process.arguments = ["evaluate", "--env", "dev", "--record"]
            process.environment = ProcessInfo.processInfo.environment.merging(["GOLDEN_POSTGRES_URL": url]) { $1 }
            process.currentDirectoryURL = URL(filePath: folder.path)
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try Spawner.shared.start(process)
            return process
        }
        func count(_ text: String) async throws -> String { try await postgres.sql(text, database: database) }
        let waits = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = '\(database)' AND wait_event_type = 'Lock' AND query ILIKE '%release_lineage%'
            """
        // Holds the table until it is told to let go.
        let holder = Process()
        holder.executableURL = URL(filePath: "/usr/bin/env")
        holder.arguments = [
            "psql", "-X", "-q", "-c", "BEGIN", "-c", "LOCK TABLE release_lineage IN SHARE MODE", "-c",
            "SELECT pg_sleep(600)", postgres.connectionString(database: database, "connect_timeout=30"),
        ]
        holder.standardOutput = FileHandle.nullDevice
        holder.standardError = FileHandle.nullDevice
        try Spawner.shared.start(holder)
        defer { if holder.isRunning { holder.terminate() } }
        let isHeld = "SELECT count(*) FROM pg_locks WHERE relation = 'release_lineage'::regclass AND mode = 'ShareLock'"
        try await Self.until { try await count(isHeld).contains("1") }
        let killed = try gate()
        try await Self.until { try await count(waits).contains("1") }
        kill(killed.processIdentifier, SIGKILL)
        _ = try await blocking { Spawner.shared.wait(for: killed) }
        _ = try await count(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' "
                + "AND datname = '\(database)' AND pid <> pg_backend_pid()")
        try await Self.until { try await count(waits).contains("0") }
        let kept = try #require(Int(try await count("SELECT count(*) FROM release_lineage").prefix { $0.isNumber }))
        let named = try #require(Int(try await count("SELECT count(*) FROM release_evidence").prefix { $0.isNumber }))
        #expect((kept, named) == (0, 0) || (kept, named) == (1, 2), "\(kept) entries, \(named) documents")
        let second = try gate()
        let hasEnded = try await blocking { Spawner.shared.wait(for: second) }
        try #require(hasEnded)
        #expect([0, 10].contains(second.terminationStatus))
        let checked = try await Self.with(.postgres, url) { try await LineageBook(store: $0).verify() }
        // The policy is the same both times.
        #expect(checked.entries == kept + 1 && checked.documents == 2 + kept)
    }

    private static func until(_ condition: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(240)
        while try await !condition() {
            try #require(ContinuousClock.now < end, "It never came to that.")
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
