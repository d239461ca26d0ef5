import Bootstrap
import Contracts
import Foundation
import Logging
import OrchestratorService
import SandboxExecutorService
import ServiceLifecycle
import Storage
import TestSupport
import Testing

/// The sandbox's routes, with a real executor behind them where something is run.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `The sandbox's API` {
    static let path = "/sandbox/execute"
    static let asynchronous = ["prefer": "respond-async"]

    /// The folder of the programs that were built with these tests.
    static var programs: String {
        var folder = URL(filePath: ProcessInfo.processInfo.arguments[0]).deletingLastPathComponent()
        while folder.path != "/", !FileManager.default.isExecutableFile(atPath: "\(folder.path)/sandbox-launcher") {
            folder = folder.deletingLastPathComponent()
        }
        return folder.path
    }

    /// What an executor on the stack's stores is told.
    static func settings(_ stack: OrchestratorUnderTest) -> [String: String] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../sandbox")
        let own = [
            "GOLDEN_SANDBOX_FOLDER": folder.standardizedFileURL.path,
            "GOLDEN_SANDBOX_LAUNCHER": "\(programs)/sandbox-launcher",
            "GOLDEN_SANDBOX_UID_BASE": "\(Int.random(in: 100_000...1_000_000_000))",
        ]
        return stack.settings.merging(own) { $1 }
    }

    /// - Parameter more: what it is told besides.
    static func withExecutor(
        _ stack: OrchestratorUnderTest, _ more: [String: String] = [:], _ body: () async throws -> Void
    ) async throws {
        try #require(geteuid() == 0, "This test needs root: it builds real sandboxes with control groups.")
        let settings = ServiceConfiguration(environment: settings(stack).merging(more) { $1 })
        let executor = try await SandboxExecutor(
            SandboxExecutorConfiguration(settings), logger: OrchestratorUnderTest.quiet)
        let services = ServiceGroup(
            configuration: .init(services: executor.services, logger: OrchestratorUnderTest.quiet))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await services.run() }
            do {
                try await body()
            } catch {
                await services.triggerGracefulShutdown()
                throw error
            }
            await services.triggerGracefulShutdown()
            try await group.waitForAll()
        }
    }

    @Test func `the seed's line runs, and shows nothing of the host`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await Self.withExecutor(stack) {
                let token = try await stack.token()
                let answer = try await stack.post(
                    Self.path, #"{"code": "import os; os.system(\"cat /etc/passwd\")"}"#, token: token)
                #expect(answer.status == 200 && answer["status"] == "ok", "\(answer)")
                let host = try String(contentsOfFile: "/etc/passwd", encoding: .utf8)
                for line in host.split(separator: "\n") where !line.hasPrefix("root:") && !line.hasPrefix("nobody:") {
                    #expect(!answer.body.contains(line), "\(line)")
                }
                let place = try #require(answer.headers["location"])
                #expect(try await stack.get(place, token: token)["status"] == "ok")
                let stranger = try await stack.token(tenant: "beta", subject: "stranger")
                #expect(try await stack.get(place, token: stranger).status == 404)
                #expect(try await stack.get(place + "/events", token: stranger).status == 404)
                #expect(try await stack.post(place + "/cancel", nil, token: stranger).status == 404)
                #expect(try await stack.post(place + "/cancel", nil, token: token).status == 409)
                let unknown = try await stack.post(Self.path, #"{"code":"x","language":"cobol"}"#, token: token)
                #expect(unknown.status == 422 && unknown.body.contains("cobol"), "\(unknown)")
            }
        }
    }

    @Test func `a run is followed while it goes on, resumed, and told again afterwards`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await Self.withExecutor(stack) {
                let token = try await stack.token()
                let code = "for i in 1 2 3; do echo line $i; sleep 0.2; done; echo bad >&2; exit 4"
                let body = JSONWriter.object {
                    $0.field("language", "shell")
                    $0.field("code", code)
                }
                let accepted = try await stack.post(Self.path, body.text, token: token, headers: Self.asynchronous)
                #expect(accepted.status == 202)
                let place = try #require(accepted.headers["location"]) + "/events"
                let stream = ["accept": "text/event-stream"]
                let live = try await stack.send("GET", place, token: token, headers: stream, body: nil)
                let names = live.body.split(separator: "\n").filter { $0.hasPrefix("event: ") }
                #expect(names.first == "event: start" && names.last == "event: exit", "\(live.body)")
                #expect(names.filter { $0 == "event: stdout" }.count >= 2 && names.contains("event: stderr"))
                let again = try await stack.send("GET", place, token: token, headers: stream, body: nil)
                #expect(Self.events(again.body) == Self.events(live.body))
                let rest = try await stack.send(
                    "GET", place, token: token, headers: stream.merging(["last-event-id": "2"]) { $1 }, body: nil)
                #expect(Self.events(rest.body) == Array(Self.events(live.body).dropFirst(2)))
            }
        }
    }

    @Test func `events of a run that has ended come page by page`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let accepted = try await stack.post(
                Self.path, #"{"code":"x"}"#, token: token, headers: Self.asynchronous)
            let id = try #require(accepted["id"].flatMap { ExecutionID($0) })
            let place = try #require(accepted.headers["location"]) + "/events"
            // The test takes the executor's place, for a program that wrote byte by byte.
            let count = 2500
            var outcome = SandboxOutcome(status: .ok)
            outcome.stdout = .init(head: [UInt8](repeating: 0x61, count: count), bytesTotal: count)
            let (ended, pieces) = (outcome, [String](repeating: "o1", count: count).joined(separator: " "))
            try await stack.withStore { pool, _ in
                let store = SandboxStore(pool: pool)
                let claimed = try #require(try await store.claim(id, by: "test"))
                let isKept = try await store.end(claimed.execution, by: "test", outcome: ended, pieces: pieces)
                #expect(isKept)
            }
            var (sizes, after): ([Int], Int?) = ([], 0)
            while let last = after {
                let page = try await stack.get("\(place)?after=\(last)", token: token).json.fields ?? []
                sizes.append(page.first { $0.name == "events" }?.value.array?.count ?? 0)
                after = page.first { $0.name == "next_after" }?.value.int
            }
            #expect(sizes == [1000, 1000, 502], "start, output and exit")
            let stream = try await stack.send(
                "GET", place, token: token, headers: ["accept": "text/event-stream"], body: nil)
            let names = stream.body.split(separator: "\n").filter { $0.hasPrefix("event: ") }
            #expect(names.count == count + 2 && names.last == "event: exit")
        }
    }

    private static func events(_ text: String) -> [Substring] {
        text.split(separator: "\n").filter { $0.hasPrefix("data: ") }
    }

    @Test func `a key is one run, and another body with it is refused`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let headers = ["idempotency-key": "k-1"].merging(Self.asynchronous) { $1 }
            let first = try await stack.post(Self.path, #"{"code":"print(1)"}"#, token: token, headers: headers)
            let again = try await stack.post(Self.path, #"{"code":"print(1)"}"#, token: token, headers: headers)
            #expect(first.status == 202 && again.status == 202 && first["id"] == again["id"])
            #expect(again.headers["idempotent-replayed"] == "true")
            let other = try await stack.post(Self.path, #"{"code":"print(2)"}"#, token: token, headers: headers)
            #expect(other.status == 422 && other["code"] == "idempotency_mismatch", "\(other)")
            let colleague = try await stack.token(subject: "colleague")
            let theirs = try await stack.post(Self.path, #"{"code":"print(2)"}"#, token: colleague, headers: headers)
            #expect(theirs.status == 202 && theirs["id"] != first["id"])
        }
    }

    @Test func `ten a minute for each caller, and so many waiting for each tenant`() async throws {
        try await OrchestratorUnderTest.run(environment: ["GOLDEN_SANDBOX_QUEUE": "3"]) { stack in
            let token = try await stack.token()
            var statuses: [Int] = []
            for _ in 0..<11 {
                statuses.append(
                    try await stack.post(Self.path, #"{"code":"x"}"#, token: token, headers: Self.asynchronous).status)
            }
            #expect(statuses.prefix(3) == [202, 202, 202] && statuses.dropFirst(3).allSatisfy { $0 == 429 })
            let limited = try await stack.post(Self.path, #"{"code":"x"}"#, token: token, headers: Self.asynchronous)
            #expect(limited.body.contains("sandbox.execute") && limited.headers["retry-after"] != nil, "\(limited)")
            // What is refused as malformed costs nothing, and other tenants wait in a line of their own.
            let other = try await stack.token(tenant: "beta")
            for _ in 0..<15 { #expect(try await stack.post(Self.path, "{}", token: other).status == 422) }
            #expect(
                try await stack.post(Self.path, #"{"code":"x"}"#, token: other, headers: Self.asynchronous).status
                    == 202)
        }
    }

    @Test func `a waiting run is canceled at once, and whoever waited for it is told`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let accepted = try await stack.post(
                Self.path, #"{"code":"x"}"#, token: token, headers: Self.asynchronous)
            let place = try #require(accepted.headers["location"])
            async let followed = stack.send(
                "GET", place + "/events", token: token, headers: ["accept": "text/event-stream"], body: nil)
            let canceled = try await stack.post(place + "/cancel", nil, token: token)
            #expect(canceled.status == 200 && canceled["status"] == "canceled", "\(canceled)")
            #expect(try await followed.body.contains(#""status":"canceled""#))
            let brief = try await stack.post(
                Self.path, #"{"code":"x"}"#, token: token, headers: ["prefer": "wait=1"])
            #expect(brief.status == 202, "without an executor nobody waits for ever")
        }
    }

    @Test func `however many follow a run, one look a second finds out for all that it has ended`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let accepted = try await stack.post(
                Self.path, #"{"code":"x"}"#, token: token, headers: Self.asynchronous)
            let place = try #require(accepted.headers["location"])
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<5 { group.addTask { try await stack.follow(place + "/events", token: token).body } }
                // Each looks for itself at its beginning: for the answer, and for the stream.
                try await eventually { try await stack.timesRun("FindExecution") == 10 }
                let looks = try await stack.timesRun("EndedExecutionIDs")
                try await eventually { try await stack.timesRun("EndedExecutionIDs") >= looks + 3 }
                #expect(try await stack.timesRun("FindExecution") == 10)
                #expect(try await stack.post(place + "/cancel", nil, token: token).status == 200)
                for try await body in group { #expect(body.contains(#""status":"canceled""#)) }
            }
        }
    }

    @Test func `who waits for a run when the server ends is told at once where it will be`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let leaving = try await stack.orchestrator([:])
            let services = ServiceGroup(
                configuration: .init(services: leaving.services, logger: OrchestratorUnderTest.quiet))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await services.run() }
                try await eventually { stack.replicas == 2 }
                try await eventually { try await stack.get("/ready", replica: 1, token: nil).status == 200 }
                async let answer = stack.post(
                    Self.path, #"{"code":"x"}"#, replica: 1, token: token, headers: ["prefer": "wait=300"])
                // Accepted, and so written down, though nobody has been answered.
                let entries = "SELECT count(*) FROM audit_log WHERE action = 'executeProgram' AND outcome = 'allowed'"
                try await eventually(within: .seconds(20)) { try await stack.sql(entries) == "1" }
                await services.triggerGracefulShutdown()
                let told = try await answer
                #expect(told.status == 202 && told["state"] == "queued", "\(told)")
                let place = try #require(told.headers["location"])
                #expect(try await stack.get(place, token: token)["id"] == told["id"])
                try await group.waitForAll()
                #expect(try await stack.sql(entries) == "1")
            }
        }
    }

    @Test func `who has a run's last event is told not to come back`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let token = try await stack.token()
            let accepted = try await stack.post(
                Self.path, #"{"code":"x"}"#, token: token, headers: Self.asynchronous)
            let place = try #require(accepted.headers["location"])
            #expect(try await stack.post(place + "/cancel", nil, token: token).status == 200)
            let exit = try await stack.follow(place + "/events", after: 1, token: token)
            #expect(exit.status == 200 && exit.body.contains("id: 2\nevent: exit"), "\(exit)")
            for last in [2, 3] {
                #expect(try await stack.follow(place + "/events", after: last, token: token).status == 204)
            }
        }
    }

    /// How a run ends when its executor does not say so.
    private enum UntoldEnd: CaseIterable { case givenBack, lost, stoppedInLine }

    @Test func `an end that no executor tells comes after all that was told of the run`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.withStore { pool, _ in
                for end in UntoldEnd.allCases { try await Self.follow(to: end, stack, SandboxStore(pool: pool)) }
            }
        }
    }

    private static func follow(to end: UntoldEnd, _ stack: OrchestratorUnderTest, _ store: SandboxStore) async throws {
        let token = try await stack.token()
        let accepted = try await stack.post(path, #"{"code":"x"}"#, token: token, headers: asynchronous)
        let id = try #require(accepted["id"].flatMap { ExecutionID($0) })
        let place = try #require(accepted.headers["location"])
        // The executors before are lost as well.
        for _ in 1..<(end == .lost ? SandboxStore.lostMax : 1) {
            _ = try #require(try await store.claim(id, by: "test"))
            try await lose(id, stack, store)
        }
        let begun = try #require(try await store.claim(id, by: "test")).execution
        if end == .stoppedInLine { try await store.release(begun, by: "test") }
        if end == .givenBack {
            let stopping = try await stack.post("\(place)/cancel", nil, token: token)
            #expect(stopping.status == 202, "\(stopping)")
        }
        // The start of the try, and four pieces of what it wrote.
        let told = (begun.tries - 1) * SandboxEvent.numbersPerTry + 5
        let looks = try await stack.timesRun("FindExecution")
        async let followed = stack.follow("\(place)/events", after: told, token: token)
        // For the answer, and for the stream.
        try await eventually { try await stack.timesRun("FindExecution") >= looks + 2 }
        switch end {
        case .givenBack: try await store.release(begun, by: "test")
        case .lost: try await lose(id, stack, store)
        case .stoppedInLine: _ = try await stack.post("\(place)/cancel", nil, token: token)
        }
        let live = try await followed
        let again = try await stack.follow("\(place)/events", after: told, token: token)
        for answer in [live, again] {
            #expect(answer.status == 200 && answer.body.contains("\nevent: exit\n"), "\(end): \(answer)")
        }
        let shown = try await stack.get(place, token: token)
        #expect(shown["status"] == (end == .lost ? "sandbox_error" : "canceled"), "\(shown)")
        let tries = try shown.json.fields?.first { $0.name == "tries" }?.value.int
        #expect(tries == begun.tries, "how often it was begun")
    }

    /// The executor that has the run is gone.
    private static func lose(_ id: ExecutionID, _ stack: OrchestratorUnderTest, _ store: SandboxStore) async throws {
        try await stack.postgres.sql(
            "UPDATE sandbox_executions SET lease_until = now() - interval '1 s' WHERE id = '\(id)'",
            database: stack.database)
        let count = try await store.takeBack()
        #expect(count == 1)
    }
}

extension OrchestratorUnderTest {
    /// The whole of an event stream.
    func follow(_ path: String, after last: Int = 0, token: String) async throws -> Answer {
        let headers = ["accept": "text/event-stream", "last-event-id": "\(last)"]
        return try await get(path, token: token, headers: headers)
    }

    /// How often the first orchestrator ran a statement.
    func timesRun(_ statement: String) async throws -> Int {
        let start = #"db_query_duration_seconds_count{statement="\#(statement)"} "#
        let line = try await get("/metrics", token: nil).body.split(separator: "\n").first { $0.hasPrefix(start) }
        return line.flatMap { Int($0.dropFirst(start.count)) } ?? 0
    }
}
