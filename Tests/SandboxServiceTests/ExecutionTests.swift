import Contracts
import Foundation
import FoundationNetworking
import MessageBus
import NATS
import SandboxExecutorService
import Storage
import Synchronization
import TestSupport
import Testing

/// Programs run for real: with the launcher, in namespaces and control groups, as root.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Sandboxes` {
    @Test func `a request that comes again gets the same result, and no second run`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor {
                let program = ExecutorUnderTest.python("import time; print(time.time_ns())")
                let id = ExecutorUnderTest.newID()
                var results = try test.bus.subscribe(.sandboxResult(id)).makeAsyncIterator()
                try await test.ask(program, id: id)
                let told = await results.next()
                let (first, outcome) = try await test.untilEnded(id)
                try await test.ask(program, id: id)
                let again = await results.next()
                #expect(told?.outcome.stdout.text == outcome.stdout.text && again == told)
                let (second, _) = try await test.untilEnded(id)
                #expect(second == first && second.tries == 1)
            }
        }
    }

    @Test func `runs of one slot enter its network namespace, and never the host's`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor(["GOLDEN_SANDBOX_CONCURRENCY": "1", "GOLDEN_SANDBOX_WARM": "false"]) {
                let host = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/net")
                var seen: [String: Int] = [:]
                var runs: [ExecutionID] = []
                // More than there are slots.
                for _ in 0..<60 {
                    runs.append(try await test.ask(ExecutorUnderTest.shell("readlink /proc/self/ns/net")))
                }
                for run in runs {
                    let outcome = try await test.untilEnded(run).outcome
                    #expect(outcome.status == .ok && outcome.stdout.text.hasPrefix("net:["))
                    seen[outcome.stdout.text, default: 0] += 1
                }
                #expect(seen["\(host)\n"] == nil)
                #expect(seen.values.contains { $0 > 1 }, "\(seen)")
            }
        }
    }

    @Test func `an id that was asked for with something else is refused`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor {
                let id = try await test.ask(ExecutorUnderTest.shell("echo one"))
                _ = try await test.untilEnded(id)
                let letters = try test.bus.subscribeRaw(Subject.deadLetter(Subject.sandboxExecute.text))
                try await test.ask(ExecutorUnderTest.shell("echo two"), id: id)
                var reason: String?
                for await letter in letters {
                    reason = letter.headers[MessageHeader.reason]
                    break
                }
                #expect(reason == "execution_conflict")
                let (execution, outcome) = try await test.untilEnded(id)
                #expect(outcome.stdout.text == "one\n" && execution.tries == 1)
            }
        }
    }

    @Test func `a run that was only kept is found without a message`() async throws {
        try await ExecutorUnderTest.run { test in
            let id = try await test.keep(ExecutorUnderTest.shell("echo found"))
            try await test.withExecutor {
                let (_, outcome) = try await test.untilEnded(id)
                #expect(outcome.stdout.text == "found\n")
            }
        }
    }

    @Test func `two hundred waiting runs of one tenant let another's pass`() async throws {
        try await ExecutorUnderTest.run { test in
            for _ in 0..<200 { try await test.keep(ExecutorUnderTest.shell("sleep 0.02; exit 0")) }
            let other = TenantID(literal: "other")
            let single = try await test.keep(ExecutorUnderTest.shell("echo quick"), tenant: other)
            try await test.withExecutor {
                _ = try await test.untilEnded(single, tenant: other)
                let before = try await test.postgres.sql(
                    """
                    SELECT count(*) FROM sandbox_executions one JOIN sandbox_executions other
                        ON one.ended_at < other.ended_at
                    WHERE one.tenant_id = 'acme' AND other.tenant_id = 'other'
                    """, database: test.database)
                let count = try #require(Int(before))
                #expect(count < 50, "\(count) of the one tenant's have ended before the other's")
                try await test.eventually(seconds: 120) { try await test.store.waiting(limit: 1000).count == 0 }
            }
        }
    }

    @Test func `a tenant that asks for very much over the bus holds nobody up`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor(["GOLDEN_SANDBOX_CONCURRENCY": "2", "GOLDEN_SANDBOX_WARM": "false"]) {
                let results = try test.bus.subscribe(.sandboxResults)
                for _ in 0..<1100 { try await test.ask(ExecutorUnderTest.shell("sleep 2")) }
                let other = TenantID(literal: "other")
                let single = try await test.ask(ExecutorUnderTest.shell("echo quick"), tenant: other)
                _ = try await test.untilEnded(single, tenant: other, seconds: 30)
                let left = try await test.store.waiting(limit: 5000).count
                #expect((500...1000).contains(left), "\(left) wait when the other tenant's has ended")
                var refused: ExecutionID?
                for await result in results where result.outcome.failure?.code == "queue_full" {
                    refused = result.execution
                    break
                }
                let id = try #require(refused)
                let kept = try await test.store.find(id, tenant: ExecutorUnderTest.tenant)
                #expect(kept == nil)
            }
        }
    }

    @Test func `output is told while it is written, and again to who missed it`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor {
                let id = ExecutorUnderTest.newID()
                let events = try test.bus.subscribe(.sandboxEvents(ExecutorUnderTest.tenant, id))
                let code = "for i in 1 2 3; do echo line $i; sleep 0.3; done; echo end >&2; exit 7"
                try await test.ask(ExecutorUnderTest.shell(code), id: id)
                var heard: [SandboxEvent] = []
                var hasAsked = false
                for await event in events {
                    heard.append(event)
                    if !hasAsked, event.number == 2 {
                        hasAsked = true
                        try test.bus.send(SandboxControl(.replay, id), on: .sandboxControl)
                    }
                    if case .exit = event.kind { break }
                }
                #expect(heard.last?.kind == .exit(.error))
                let repeated = heard.filter { $0.number == 2 }
                #expect(repeated.count >= 2 && Set(repeated.map { $0.json.text }).count == 1)
                var output = ""
                var next = 1
                for event in heard where event.number == next {
                    next += 1
                    if case .output(.stdout, _, let bytes) = event.kind {
                        output += String(decoding: bytes, as: UTF8.self)
                    }
                }
                #expect(output == "line 1\nline 2\nline 3\n")
                #expect(next > 4, "it came in \(next) pieces")
            }
        }
    }

    @Test func `warm interpreters run one program each`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor {
                let code = "import os; print(os.path.exists('/tmp/mark'), __name__, __file__); open('/tmp/mark', 'w')"
                var warm = 0
                // How soon the next one waits is the machine's affair; that there is one again and again is not.
                for _ in 0..<200 where warm < 6 {
                    let outcome = try await test.outcome(ExecutorUnderTest.python(code))
                    #expect(outcome.stdout.text == "False __main__ /code/main.py\n", "\(outcome)")
                    if outcome.isolation?.isWarm == true { warm += 1 }
                    try await Task.sleep(for: .milliseconds(100))
                }
                #expect(warm >= 6, "\(warm) of 200 were warm")
            }
        }
    }

    @Test func `environment and ceilings hold for whatever is warm`() async throws {
        try await ExecutorUnderTest.run { test in
            let ceilings = #"{"acme": {"open_files": 20}}"#
            try await test.withWarmExecutor(["GOLDEN_SANDBOX_CEILINGS": ceilings]) {
                let code = "import resource, time; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], time.tzname[0])"
                let outcome = try await test.outcome(
                    ExecutorUnderTest.python(code) { $0.environment = ["TZ": "XYZ-3"] })
                #expect(outcome.stdout.text == "20 XYZ\n" && outcome.isolation?.isWarm == false, "\(outcome)")
                let id = try await test.ask(ExecutorUnderTest.python(code), tenant: TenantID(literal: "other"))
                let other = try await test.untilEnded(id, tenant: TenantID(literal: "other")).outcome
                #expect(other.stdout.text == "256 UTC\n" && other.isolation?.isWarm == true, "\(other)")
            }
        }
    }

    @Test func `a library called like the prelude is the program's own`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withWarmExecutor {
                let files = [("main.py", "import prelude; print(prelude.x)"), ("prelude.py", "x = 7")]
                let outcome = try await test.outcome(
                    SandboxProgram(
                        language: "python",
                        source: .files(files.map { .init(path: $0.0, content: Array($0.1.utf8)) })))
                #expect(outcome.status == .ok && outcome.stdout.text == "7\n", "\(outcome)")
                #expect(outcome.isolation?.isWarm == true)
            }
        }
    }

    @Test func `the result of a run that ended without an executor is published by the next`() async throws {
        try await ExecutorUnderTest.run { test in
            let id = try await test.keep(ExecutorUnderTest.shell("echo never"))
            _ = try await test.store.cancel(id, tenant: ExecutorUnderTest.tenant)
            let results = try test.bus.subscribe(.sandboxResult(id))
            try await test.withExecutor {
                try await test.eventually {
                    let count = "SELECT count(*) FROM sandbox_executions WHERE published_at IS NOT NULL"
                    return try await test.postgres.sql(count, database: test.database) == "1"
                }
                var published = results.makeAsyncIterator()
                let told = await published.next()
                #expect(told?.outcome.status == .canceled)
            }
        }
    }

    @Test func `what is older than it is kept for goes, however much there is`() async throws {
        try await ExecutorUnderTest.run { test in
            _ = try await test.postgres.sql(
                """
                INSERT INTO sandbox_executions (id, tenant_id, caller, language, request_sha256, state, status, result,
                    ended_at, published_at)
                SELECT gen_random_uuid(), 'acme', 'tester', 'python', decode(repeat('00', 32), 'hex'), 'ended', 'ok',
                    '{}', now() - interval '2 hours', now() FROM generate_series(1, 3500)
                """, database: test.database)
            try await test.withExecutor(["GOLDEN_SANDBOX_RETENTION_HOURS": "1"]) {
                try await test.eventually(seconds: 30) {
                    let count = "SELECT count(*) FROM sandbox_executions"
                    return try await test.postgres.sql(count, database: test.database) == "0"
                }
            }
        }
    }

    @Test func `an executor that is told to stop gives its run back, and another does it`() async throws {
        try await ExecutorUnderTest.run { test in
            let first = try await test.executor()
            let id = try await test.keep(
                ExecutorUnderTest.shell("sleep 25; echo done") { $0.limits.wallMilliseconds = 60_000 })
            try await test.eventually {
                try await test.store.find(id, tenant: ExecutorUnderTest.tenant)?.state == .running
            }
            await first.stop()
            #expect(try await test.store.find(id, tenant: ExecutorUnderTest.tenant)?.state == .queued)
            try await test.withExecutor {
                let (execution, outcome) = try await test.untilEnded(id)
                #expect(outcome.status == .ok && outcome.stdout.text == "done\n" && execution.tries == 2)
            }
        }
    }

    @Test func `a killed executor leaves nothing, and its run is done once`() async throws {
        try await ExecutorUnderTest.run { test in
            let mark = "golden-mark-\(UUID().uuidString)"
            let port = freePort()
            let log = try temporaryFolder("executor").appending(path: "log")
            let killed = ServerProcess(
                "\(ExecutorUnderTest.programs)/sandbox-executor", ["serve"],
                environment: test.settings(["GOLDEN_HTTP_PORT": "\(port)"]), logFile: log)
            try await blocking { try killed.start(within: .seconds(60)) { accepts(port: port) } }
            let pid = try #require(killed.pid)
            let code =
                "(setsid sh -c ': \(mark); trap \"\" TERM HUP; while :; do sleep 1; done' &) ; sleep 3; echo done"
            let id = try await test.keep(ExecutorUnderTest.shell(code) { $0.limits.wallMilliseconds = 20_000 })
            try await test.eventually { try Host.processes(with: mark) > 0 }
            killed.kill()
            try await test.eventually(seconds: 10) { try Host.processes(with: mark) == 0 }
            try await test.withExecutor {
                let (execution, outcome) = try await test.untilEnded(id)
                #expect(outcome.status == .ok && outcome.stdout.text == "done\n" && execution.tries == 2)
                let groups = try Host.groups(of: pid)
                #expect(groups.isEmpty, "the next executor removes its groups")
                #expect(try Host.processes(with: mark) == 0)
            }
            #expect(try Host.groups(of: ProcessInfo.processInfo.processIdentifier).isEmpty)
        }
    }

    @Test func `a host that lacks a layer is refused, with its name in health`() async throws {
        try await ExecutorUnderTest.run { test in
            let port = Mutex(0)
            let replica = try await test.executor(["GOLDEN_SANDBOX_TIER": "gvisor"]) { found in
                port.withLock { $0 = found }
            }
            try await test.eventually { port.withLock { $0 } > 0 }
            let url = "http://127.0.0.1:\(port.withLock { $0 })"
            let (health, _) = try await URLSession.shared.data(from: try #require(URL(string: "\(url)/health")))
            #expect(String(decoding: health, as: UTF8.self).contains("gvisor"))
            let (_, ready) = try await URLSession.shared.data(from: try #require(URL(string: "\(url)/ready")))
            #expect((ready as? HTTPURLResponse)?.statusCode == 503)
            let id = try await test.keep(ExecutorUnderTest.shell("echo never"))
            try await Task.sleep(for: .seconds(2))
            #expect(try await test.store.find(id, tenant: ExecutorUnderTest.tenant)?.state == .queued)
            await replica.stop()
        }
    }

    @Test func `health names every layer, and metrics have their names`() async throws {
        try await ExecutorUnderTest.run { test in
            let port = Mutex(0)
            let replica = try await test.executor { found in port.withLock { $0 = found } }
            try await test.eventually { port.withLock { $0 } > 0 }
            _ = try await test.outcome(ExecutorUnderTest.shell("sleep 9") { $0.limits.wallMilliseconds = 200 })
            let url = "http://127.0.0.1:\(port.withLock { $0 })"
            let (health, _) = try await URLSession.shared.data(from: try #require(URL(string: "\(url)/health")))
            var reader = try JSONReader(JSON(parsing: health))
            var sandbox = try #require(try reader.optionalObject("sandbox"))
            #expect(try sandbox.optionalBool("serving") == true)
            let layers = try sandbox.required("layers").fields ?? []
            #expect(layers.count >= 20 && layers.allSatisfy { $0.value.string == "holds" }, "\(layers)")
            let lines = [
                #"sandbox_executions_total{language="shell",status="timeout"} 1"#, "sandbox_executions_timeout_total 1",
                #"sandbox_execution_time_count{language="shell"} 1"#, "sandbox_execution_queue_depth 0",
                #"circuit_breaker_state{name="sandbox"} 0"#,
            ]
            // A run is counted a moment after its result is out.
            var text = ""
            for _ in 0..<200 where !lines.allSatisfy({ text.contains($0) }) {
                let (metrics, _) = try await URLSession.shared.data(
                    from: try #require(URL(string: "\(url)/metrics")))
                text = String(decoding: metrics, as: UTF8.self)
                try await Task.sleep(for: .milliseconds(20))
            }
            for line in lines { #expect(text.contains(line), "\(line)") }
            await replica.stop()
        }
    }
}

/// What this machine has of what a sandbox could leave behind.
enum Host {
    /// Processes whose command line holds a word.
    static func processes(with word: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }.count { pid in
            guard let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return false }
            return String(decoding: line, as: UTF8.self).contains(word)
        }
    }

    /// Control groups that the executor of that process made, or a test's.
    static func groups(of pid: Int32) throws -> [String] {
        var found: [String] = []
        for folder in ["memory", "pids", "cpu", "cpuacct", "unified", "."] {
            let path = "/sys/fs/cgroup/\(folder)"
            guard FileManager.default.fileExists(atPath: path) else { continue }
            found += try FileManager.default.contentsOfDirectory(atPath: path).filter {
                $0.hasPrefix("golden-sandbox.\(pid).")
            }
        }
        return found
    }
}
