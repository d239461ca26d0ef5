import Foundation
import TestSupport
import Testing

@testable import golden

/// Two real servers, kept as `golden up --cluster` keeps them.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `A pair of Postgres servers` {
    @Test func `the standby takes over with all that was acknowledged, and the old primary comes back as its copy`()
        async throws
    {
        try await PairUnderTest.run { pair in
            try await pair.reports.next("postgres-2 has everything")
            #expect(pair.recordedPrimary == nil)
            try await pair.execute("CREATE TABLE kept (n int)")
            var acknowledged = 0
            for number in 0..<50 {
                try await pair.execute("INSERT INTO kept VALUES (\(number))")
                acknowledged += 1
            }
            try await pair.kill(0)
            try await pair.reports.next("postgres-1 ended; postgres-2 took over")
            #expect(pair.recordedPrimary == "2")
            #expect(try await pair.execute("SELECT count(*) FROM kept") == "\(acknowledged)")
            // What was primary has another's files now, and follows.
            try await pair.reports.next("postgres-1 has everything")
            #expect(try await pair.ask(0, "SELECT pg_is_in_recovery()") == "t")
            #expect(try await pair.ask(1, "SELECT pg_is_in_recovery()") == "f")
            try await pair.execute("INSERT INTO kept VALUES (-1)")
            // And the other way round.
            try await pair.kill(1)
            try await pair.reports.next("postgres-2 ended; postgres-1 took over")
            #expect(pair.recordedPrimary == "1")
            #expect(try await pair.execute("SELECT count(*) FROM kept") == "\(acknowledged + 1)")
        }
    }

    @Test func `without its standby the primary goes on alone, and nothing that lacks commits takes its place`()
        async throws
    {
        try await PairUnderTest.run { pair in
            try await pair.reports.next("postgres-2 has everything")
            try await pair.execute("CREATE TABLE kept (n int)")
            await pair.keepers[1].stop()
            try await pair.reports.next("postgres-2 is away; commits do not wait for it")
            try await pair.execute("INSERT INTO kept VALUES (1)")
            try await pair.kill(0)
            try await pair.reports.next("postgres-1 ended and starts again: its standby may lack something")
            #expect(try await pair.execute("SELECT count(*) FROM kept") == "1")
            #expect(try await pair.ask(0, "SELECT pg_is_in_recovery()") == "f")
            #expect(pair.recordedPrimary == nil)
        }
    }

    @Test func `nobody watches any more when the start beside it has failed`() async throws {
        let folder = try temporaryFolder("pair").path
        let environment = PairUnderTest.environment
        let programs = try Programs.postgresFolder(environment: environment)
        let servers = (1...2).map { number in
            PostgresStore(
                folder: "\(folder)/\(number)", port: freePort(), password: "p", adminPassword: "a", programs: programs,
                account: nil
            )
        }
        let reports = Reports()
        let pair = PostgresPair(servers, recordFile: "\(folder)/primary", environment: environment) {
            await reports.add($0)
        }
        let stop = Latch()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await pair.watch(until: stop) }
            group.cancelAll()
        }
        #expect(!stop.isOpen)
    }

    @Test func `a commit waits for a standby that stands still, until it is known to be away`() async throws {
        try await PairUnderTest.run { pair in
            try await pair.reports.next("postgres-2 has everything")
            let waits = try await pair.ask(0, "SHOW synchronous_standby_names")
            let state = try await pair.ask(0, "SELECT sync_state FROM pg_stat_replication")
            #expect(waits == "*" && state == "sync")
            await pair.keepers[1].stop()
            try await pair.reports.next("postgres-2 is away")
            #expect(try await pair.ask(0, "SHOW synchronous_standby_names").isEmpty)
        }
    }
}

/// The servers, who keeps them, and what the pair said.
private struct PairUnderTest: Sendable {
    static let environment = ["PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"]

    let servers: [PostgresStore]
    let keepers: [ProcessKeeper]
    let changes: [Changes]
    let reports: Reports
    let recordFile: String

    static func run(_ body: (PairUnderTest) async throws -> Void) async throws {
        let folder = try temporaryFolder("pair").path
        let logs = try Scratch.folder("pair-logs")
        let programs = try Programs.postgresFolder(environment: environment)
        let servers = (1...2).map { number in
            PostgresStore(
                folder: "\(folder)/\(number)", port: freePort(), password: "p", adminPassword: "a", programs: programs,
                account: geteuid() == 0 ? PostgresPlace.account : nil
            )
        }
        try FileManager.default.createDirectory(atPath: servers[0].folder, withIntermediateDirectories: true)
        try await servers[0].hand(servers[0].folder, environment)
        try await servers[0].initialise(environment: environment)
        let reports = Reports()
        let recordFile = "\(folder)/primary"
        let pair = PostgresPair(servers, recordFile: recordFile, environment: environment) { await reports.add($0) }
        let changes = [Changes(), Changes()]
        let keepers = servers.indices.map { index in
            var spec = servers[index].spec(name: "postgres-\(index + 1)", environment: environment)
            spec.readyWithin = .seconds(90)
            spec.prepare = { isFirst throws(CLIError) in try await pair.prepare(index, isFirst: isFirst) }
            return ProcessKeeper(spec, log: logs.log(of: spec.name), isRoot: geteuid() == 0) {
                await changes[index].add($0)
            }
        }
        let test = PairUnderTest(
            servers: servers, keepers: keepers, changes: changes, reports: reports, recordFile: recordFile)
        let stop = Latch()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for keeper in keepers { group.addTask { await keeper.run() } }
            group.addTask { await pair.watch(until: stop) }
            var failure: (any Error)?
            do { try await body(test) } catch { failure = error }
            stop.open()
            for keeper in keepers.reversed() { await keeper.stop() }
            try await group.waitForAll()
            if let failure { throw failure }
        }
    }

    var recordedPrimary: String? { readSmallFile(recordFile) }

    /// SIGKILL, as the kernel does it when memory runs out.
    func kill(_ server: Int) async throws {
        let ready = await changes[server].last { $0.state == .ready }
        let identity = try #require(ready?.identity)
        #expect(identity.send(SIGKILL))
    }

    /// As clients do it: at whichever server takes writes, as soon as one does. Answers the first column.
    @discardableResult
    func execute(_ sql: String) async throws -> String {
        let hosts = servers.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
        let url = "postgresql://golden:p@\(hosts)/golden?target_session_attrs=read-write&connect_timeout=2"
        var last = ""
        for _ in 0..<300 {
            let outcome = await psql(url, sql)
            if outcome.isSuccess { return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines) }
            last = outcome.output
            // Only what was refused at the door is tried again: nothing is done twice.
            guard last.contains("connection to server") else { break }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw Refused(output: last)
    }

    /// One server, whatever it is at the moment.
    func ask(_ server: Int, _ sql: String) async throws -> String {
        let url = "postgresql://postgres:a@127.0.0.1:\(servers[server].port)/postgres?connect_timeout=30"
        let outcome = await psql(url, sql)
        guard outcome.isSuccess else { throw Refused(output: outcome.output) }
        return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func psql(_ url: String, _ sql: String) async -> Tool.Outcome {
        await Tool.run(
            ["\(servers[0].programs)/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql],
            environment: Self.environment)
    }

    struct Refused: Error {
        let output: String
    }
}

/// What a pair told people, and a way to await it: each report is found once.
private actor Reports {
    private var unread: [String] = []

    func add(_ report: String) { unread.append(report) }

    /// Returns when something that begins with `words` was reported; forgets what was reported before it.
    func next(_ words: String) async throws {
        let limit = ContinuousClock.now + .seconds(90)
        while ContinuousClock.now < limit {
            if let found = unread.firstIndex(where: { $0.hasPrefix(words) }) {
                unread.removeFirst(found + 1)
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("Nobody reported \(words), but \(unread).")
    }
}

extension Changes {
    /// The latest change so far that matches.
    fileprivate func last(_ match: (StackRecord.Process) -> Bool) -> StackRecord.Process? { all.last(where: match) }
}
