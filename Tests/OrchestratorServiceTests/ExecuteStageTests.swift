import Contracts
import Crypto
import Foundation
import Storage
import Synchronization
import TestSupport
import Testing

/// Work whose tests are run in real sandboxes, from HTTP to the executor and back.
@Suite(.serialized, .timeLimit(.minutes(10))) struct `Execute stages` {
    static let tested = """
        {"stages":[{"name":"work","kind":"work","role":"developer"},
                   {"name":"test","kind":"execute","timeout_seconds":120,"limits":{"wall_ms":60000}}]}
        """

    /// Work with a test of that body.
    static func made(_ test: String) -> AgentReport.Body {
        let text = """
            import time, unittest
            from shop import total
            class Totals(unittest.TestCase):
                def test_total(self):
                    \(test)
            """
        return .completed(
            output: JSONWriter.object { writer in
                writer.field(
                    "files",
                    object: {
                        $0.field("shop.py", "def total(prices):\n    return sum(prices)\n")
                        $0.field("test_shop.py", text)
                    })
                writer.field("sandbox", object: { $0.field("test", "all is well, says its author") })
            },
            usage: nil
        )
    }

    @Test func `code is tested, goes back with what failed, and its reviewers see how it ran`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            let hub = try await stack.startHub()
            let plans = Mutex<[String]>([])
            let seen = Mutex<[String]>([])
            var peers = Peers()
            peers.develop = { item in
                if let plan = item.plan { plans.withLock { $0.append(plan.text) } }
                return Self.made("self.assertEqual(total([1, 2]), \(item.plan == nil ? 4 : 3))")
            }
            peers.review = { item in
                seen.withLock { $0.append(item.input.text) }
                return Peers.vote("approve")
            }
            try await `The sandbox's API`.withExecutor(stack) {
                try await stack.withPeers(peers) {
                    let id = try await stack.submit(#"{"workflow":"code"}"#, replica: 1)
                    try await stack.until("completed", id)
                    #expect(
                        try await stack.kinds(of: id) == [
                            "task.created", "task.dispatched", "task.stage_completed", "task.execution_requested",
                            "task.executed", "task.reworking", "task.dispatched", "task.stage_completed",
                            "task.execution_requested", "task.executed", "task.stage_completed",
                            "task.review_requested", "task.review_decided", "task.completed",
                        ])
                    let done = try await stack.task(id)
                    #expect(done.body.contains(#""sandbox":{"test":{"execution_id""#), "\(done.body)")
                    #expect(!done.body.contains("says its author") && done.body.contains("Ran 1 test"))
                }
            }
            let plan = plans.withLock { $0 }
            #expect(plan.count == 1 && plan[0].contains("3 != 4") && plan[0].contains(#""status":"error""#), "\(plan)")
            #expect(seen.withLock { $0 }.allSatisfy { $0.contains(#""status":"ok""#) && !$0.contains("its author") })
            await hub.stop()
        }
    }

    @Test func `work without tests goes to the tester`() async throws {
        try await OrchestratorUnderTest.run { stack in
            _ = try await stack.put("/workflows/tested", Self.tested)
            let bare = JSONWriter.object { $0.field("files", object: { $0.field("a.py", "x = 1\n") }) }
            try await `The sandbox's API`.withExecutor(stack) {
                try await stack.withAgent(work: { _ in .completed(output: bare, usage: nil) }) {
                    try await stack.withAgent(
                        role: "tester",
                        work: { item in
                            #expect(item.plan?.text.contains(#""guard":"has_tests""#) == true)
                            return Self.made("self.assertEqual(total([1, 2]), 3)")
                        }
                    ) {
                        let id = try await stack.submit(#"{"workflow":"tested"}"#)
                        try await stack.until("completed", id)
                        #expect(try await stack.task(id).body.contains(#""rework":1"#))
                    }
                }
            }
        }
    }

    @Test func `the executor is killed while it tests: another does it, and one result counts`() async throws {
        try await OrchestratorUnderTest.run { stack in
            _ = try await stack.put("/workflows/tested", Self.tested)
            let port = freePort()
            let log = try temporaryFolder("executor").appending(path: "log")
            let settings = `The sandbox's API`.settings(stack).merging(["GOLDEN_HTTP_PORT": "\(port)"]) { $1 }
            let program = `The sandbox's API`.programs + "/sandbox-executor"
            let killed = ServerProcess(program, ["serve"], environment: settings, logFile: log)
            try await blocking { try killed.start(within: .seconds(60)) { accepts(port: port) } }
            try await stack.withAgent(work: { _ in Self.made("time.sleep(3); self.assertEqual(total([1]), 1)") }) {
                let id = try await stack.submit(#"{"workflow":"tested"}"#)
                try await stack.until("testing", id)
                try await eventually {
                    try await stack.sql("SELECT count(*) FROM sandbox_executions WHERE state = 'running'") == "1"
                }
                killed.kill()
                try await `The sandbox's API`.withExecutor(stack) { try await stack.until("completed", id) }
                #expect(try await stack.kinds(of: id).filter { $0 == "task.executed" }.count == 1)
                #expect(try await stack.sql("SELECT count(*), max(tries) FROM sandbox_executions") == "1|2")
            }
        }
    }

    @Test func `a run that executors die of is repeated under another name, and only the work's own counts`()
        async throws
    {
        try await OrchestratorUnderTest.run { stack in
            _ = try await stack.put("/workflows/tested", Self.tested)
            try await stack.withAgent(work: { _ in Self.made("self.assertEqual(total([1]), 1)") }) {
                // No executor is there: the test takes its place in the database, and no message is ever heard.
                let id = try await stack.submit(#"{"workflow":"tested"}"#)
                let first = try await stack.execution(of: id)
                let lost = SandboxOutcome.failed("executor_lost", "The executor was lost 3 times.")
                try await stack.run(first, of: id, program: stack.program(of: id), lost)
                try await eventually { try await stack.execution(of: id) != first }
                // Whoever guesses the name is earlier than the request, with a program that always passes.
                let second = try await stack.execution(of: id)
                let forged = SandboxProgram(source: .code("print('OK')"))
                try await stack.run(second, of: id, program: forged, SandboxOutcome(status: .ok))
                try await eventually { try await stack.execution(of: id) != second }
                let third = try await stack.execution(of: id)
                try await stack.run(third, of: id, program: stack.program(of: id), SandboxOutcome(status: .ok))
                try await stack.until("completed", id)
                let events = try await stack.get("/tasks/\(id)/events", token: stack.token())
                #expect(events.body.contains("executor_lost") && events.body.contains("foreign_program"))
            }
        }
    }

    @Test func `runs that stand in line longer than their stage's time pass all the same, each once`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let brief = Self.tested.replacing("120", with: "20").replacing(
                "\"execute\"", with: "\"execute\",\"max_attempts\":1")
            #expect(try await stack.put("/workflows/brief", brief).status == 201)
            try await `The sandbox's API`.withExecutor(stack, ["GOLDEN_SANDBOX_CONCURRENCY": "1"]) {
                // The executor is there when its first run has ended.
                let first = try await stack.post(
                    `The sandbox's API`.path, #"{"code":"print(1)"}"#, token: stack.token())
                #expect(first.status == 200, "\(first)")
                try await stack.withAgent(work: { _ in Self.made("time.sleep(6); self.assertEqual(total([1]), 1)") }) {
                    var tasks: [String] = []
                    for _ in 0..<5 { tasks.append(try await stack.submit(#"{"workflow":"brief"}"#)) }
                    for task in tasks { try await stack.until("completed", task) }
                    var told = ""
                    for task in tasks {
                        let kinds = try await stack.kinds(of: task)
                        #expect(kinds.filter { $0 == "task.execution_requested" }.count == 1, "\(kinds)")
                        told += try await stack.get("/tasks/\(task)/events", token: stack.token()).body
                    }
                    #expect(told.contains("stand in line"), "some waited for as long as this test is about")
                }
            }
        }
    }

    @Test func `a canceled task stops its run, and what nobody runs passes its deadline`() async throws {
        try await OrchestratorUnderTest.run { stack in
            _ = try await stack.put("/workflows/tested", Self.tested)
            let brief = Self.tested.replacing("120", with: "1").replacing(
                "\"execute\"", with: "\"execute\",\"max_attempts\":2")
            #expect(try await stack.put("/workflows/brief", brief).status == 201)
            try await stack.withAgent(work: { _ in Self.made("time.sleep(50)") }) {
                let late = try await stack.submit(#"{"workflow":"brief"}"#)
                try await stack.until("failed", late)
                #expect(try await stack.task(late).body.contains("deadline_exceeded"))
                try await `The sandbox's API`.withExecutor(stack) {
                    let id = try await stack.submit(#"{"workflow":"tested"}"#)
                    let mine = "FROM sandbox_executions WHERE task_id = '\(id)'"
                    try await eventually { try await stack.sql("SELECT state \(mine)") == "running" }
                    let canceled = try await stack.post("/tasks/\(id)/cancel", nil, token: stack.token())
                    #expect(canceled.status < 300, "\(canceled)")
                    try await stack.until("canceled", id)
                    try await eventually { try await stack.sql("SELECT status \(mine)") == "canceled" }
                    // Requests that had waited for an executor were stopped, too, once one was there.
                    try await eventually {
                        try await stack.sql("SELECT count(*) FROM sandbox_executions WHERE state <> 'ended'") == "0"
                    }
                }
            }
        }
    }
}

extension OrchestratorUnderTest {
    /// The execution that the task waits for.
    fileprivate func execution(of task: String) async throws -> ExecutionID {
        try await until("testing", task)
        let name = try #require(try await self.task(task)["execution_id"])
        return try #require(ExecutionID(name))
    }

    /// What is to be run of it, as the orchestrator asks for it.
    fileprivate func program(of task: String) async throws -> SandboxProgram {
        let draft = try JSON(parsing: try await sql("SELECT draft FROM tasks WHERE id = '\(task)'").utf8)
        let files = draft.fields?.first { $0.name == "files" }?.value.fields ?? []
        var program = SandboxProgram(
            source: .files(files.map { .init(path: $0.name, content: Array(($0.value.string ?? "").utf8)) }))
        program.isTest = true
        program.limits.wallMilliseconds = 60_000
        return program
    }

    /// Runs it as an executor would, to that end.
    fileprivate func run(
        _ id: ExecutionID, of task: String, program: SandboxProgram, _ outcome: SandboxOutcome
    ) async throws {
        let json = program.json
        let new = NewExecution(
            id: id, tenant: TenantID(literal: "acme"), caller: "stage:test", task: TaskID(task),
            language: program.language, request: json, requestHash: Array(SHA256.hash(data: Array(json.bytes))),
            traceparent: nil)
        try await withStore { pool, _ in
            let store = SandboxStore(pool: pool)
            _ = try await store.admit(new, waitingMax: 100)
            let claimed = try #require(try await store.claim(id, by: "test"))
            let isKept = try await store.end(claimed.execution, by: "test", outcome: outcome, pieces: "")
            #expect(isKept)
        }
    }
}
