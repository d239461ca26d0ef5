import AgentWorkerCore
import Contracts
import Crypto
import Foundation
import TestSupport
import Testing

/// The example agents do what their tasks ask, as programs, the way an agent-worker runs them.
@Suite(.timeLimit(.minutes(2)))
struct ExamplesTests {
    private struct Run: Sendable {
        let code: Int32
        let output: [UInt8]
        let progress: [StderrReader.Progress]
        let words: String
    }

    private static let examples = projectFolder.appending(path: "examples")

    private func run(_ agent: String, input: JSON, kind: String = "work") async throws -> Run {
        let item = WorkItem(
            task: newTask(), tenant: TenantID(literal: "acme"), workflow: WorkflowName(literal: "single"),
            stage: "work",
            kind: kind, role: AgentRole(literal: "example"), attempt: 1, leaseToken: "t",
            deadline: Date().addingTimeInterval(60), input: input
        )
        let bytes = Array(item.json.bytes)
        return try await blocking {
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = ["python3", Self.examples.appending(path: "agents/\(agent)").path]
            process.environment = ["PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"]
            // Elsewhere than the project: an agent finds its data by itself.
            process.currentDirectoryURL = FileManager.default.temporaryDirectory
            let folder = try temporaryFolder("example")
            defer { remove(folder) }
            for name in ["in", "out", "err"] { try Data().write(to: folder.appending(path: name)) }
            try Data(bytes).write(to: folder.appending(path: "in"))
            process.standardInput = try FileHandle(forReadingFrom: folder.appending(path: "in"))
            process.standardOutput = try FileHandle(forWritingTo: folder.appending(path: "out"))
            process.standardError = try FileHandle(forWritingTo: folder.appending(path: "err"))
            try Spawner.shared.start(process)
            Spawner.shared.wait(for: process)
            var reader = StderrReader()
            let progress = reader.read(try Data(contentsOf: folder.appending(path: "err"))) + reader.finish()
            return Run(
                code: process.terminationStatus, output: Array(try Data(contentsOf: folder.appending(path: "out"))),
                progress: progress, words: reader.tail
            )
        }
    }

    /// The input of a task in `examples/tasks`, read as the API reads it.
    private func task(_ name: String, role: String) throws -> JSON {
        let bytes = Array(try Data(contentsOf: Self.examples.appending(path: "tasks/\(name).json")))
        let submission = try TaskSubmission(json: JSON(parsing: bytes))
        #expect(submission.role?.text == role)
        return submission.input
    }

    private func fields(_ run: Run) throws -> [String: JSON] {
        #expect(run.code == 0, "\(run.words)")
        return Dictionary(
            uniqueKeysWithValues: (try JSON(parsing: run.output).fields ?? []).map { ($0.name, $0.value) })
    }

    @Test func `every task file is a submission the API takes`() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.examples.appending(path: "tasks").path)
        #expect(names.count >= 3)
        for name in names {
            let bytes = Array(try Data(contentsOf: Self.examples.appending(path: "tasks/\(name)")))
            _ = try TaskSubmission(json: JSON(parsing: bytes))
        }
    }

    @Test func `the log analyst finds the outage, the scanner and the guesser`() async throws {
        let run = try await run("log_analyst.py", input: task("log-incident", role: "log-analyst"))
        let report = try fields(run)
        #expect(report["severity"]?.string == "major")
        #expect(report["error_bursts"]?.array?.count == 1)
        #expect(report["summary"]?.string?.contains("From 13:47 to 13:59") == true)
        let clients = report["suspicious_clients"]?.text ?? ""
        #expect(clients.contains("203.0.113.77") && clients.contains("198.51.100.23"))
        #expect(report["suspicious_clients"]?.array?.count == 2)
        #expect(report["slowest_paths"]?.array?.first?.text.contains("POST /api/checkout") == true)
        #expect(report["timeline"]?.array?.count == 90)
        #expect(report["unreadable_lines"]?.int == 1)
        #expect(run.progress.count == 3)
        #expect(run.output.count < 100_000)
    }

    @Test func `the log analyst reads a log given in the task`() async throws {
        let report = try fields(try await run("log_analyst.py", input: task("log-inline", role: "log-analyst")))
        #expect(report["severity"]?.string == "critical")
        #expect(report["requests"]?.int == 5)
    }

    @Test func `the sales report finds the promotion, the stock-out and the bad rows`() async throws {
        let report = try fields(try await run("sales_report.py", input: task("sales-anomalies", role: "sales-analyst")))
        let anomalies = report["anomalies"]?.array ?? []
        #expect(anomalies.count == 5)
        #expect(anomalies.first?.text.contains("2026-03-18") == true)
        #expect(anomalies.filter { $0.text.contains("\"drop\"") }.count == 4)
        #expect(report["data_problem_count"]?.int == 3)
    }

    @Test func `the summary has as many sentences as asked for, in their order`() async throws {
        let report = try fields(try await run("summarize.py", input: task("postmortem-summary", role: "summarizer")))
        let text = try String(contentsOf: Self.examples.appending(path: "data/postmortem.txt"), encoding: .utf8)
            .replacingOccurrences(of: "\n", with: " ")
        let summary = (report["summary"]?.array ?? []).compactMap(\.string)
        #expect(summary.count == 4)
        let places = summary.compactMap { text.range(of: $0)?.lowerBound }
        #expect(places.count == 4 && places == places.sorted())
    }

    @Test func `the smallest agent echoes`() async throws {
        let input = try task("echo", role: "echo")
        let report = try fields(try await run("echo_agent.py", input: input))
        #expect(report["echo"]?.canonical == input.canonical)
    }

    /// What the peer hub hands to reviewers.
    private func reviewInput(_ artifact: JSON) throws -> (JSON, ArtifactHash) {
        let hash = try #require(ArtifactHash(bytes: SHA256.hash(data: Array(artifact.bytes))))
        let input = JSONWriter.object { writer in
            writer.field("session_id", newTask().description)
            writer.field("task_id", newTask().description)
            writer.field("attempt", 1)
            writer.field("round", 1)
            writer.field("artifact_sha256", hash.description)
            writer.field("artifact", artifact)
        }
        return (input, hash)
    }

    @Test(
        arguments: ["security_reviewer.py", "quality_reviewer.py", "docs_tests_reviewer.py"], ["reject", "approve"])
    func `a reviewer's output is a vote on the artifact that it got`(_ agent: String, _ choice: String) async throws {
        let bad = "def f(x):\n    try:\n        eval(x)\n    except:\n        pass\n    return 1\n"
        let good = "\"\"\"A constant.\"\"\"\nONE = 1\n"
        let artifact = JSONWriter.object { writer in
            writer.field("files", object: { $0.field("a.py", choice == "reject" ? bad : good) })
        }
        let (input, hash) = try reviewInput(artifact)
        let run = try await run(agent, input: input, kind: "review")
        #expect(run.code == 0, "\(run.words)")
        var reader = try JSONReader(JSON(parsing: run.output))
        let vote = try VoteBody(from: &reader)
        #expect(vote.choice.rawValue == choice && vote.artifact == hash)
        #expect((vote.opinion.concerns.array?.isEmpty == false) == (choice == "reject"))
        #expect(!vote.opinion.rationale.isEmpty && run.progress.count == 1)
    }

    @Test(
        arguments: ["log_analyst.py", "sales_report.py", "summarize.py", "change_developer.py"],
        [
            "{}", "[]", "null", "\"text\"", "{\"log_file\": \"../tasks/echo.json\"}", "{\"csv_file\": \"/etc/passwd\"}",
            "{\"text_file\": \"../../README.md\"}", "{\"log\": \"\"}", "{\"csv\": \"a,b\\n1,2\"}", "{\"text\": \" \"}",
            "{\"log_file\": \"none.log\"}", "{\"log\": \"x\", \"top\": \"many\"}",
            "{\"text\": \"A.\", \"sentences\": true}",
        ]
    )
    func `input that no agent can use is refused with a reason, never with a crash`(
        _ agent: String, _ input: String
    ) async throws {
        let run = try await run(agent, input: JSON(parsing: Array(input.utf8)))
        #expect(run.code == CommandOutcome.rejectedCode)
        #expect(!run.words.isEmpty && !run.words.contains("Traceback"))
    }

    @Test func `the data is what its maker makes`() async throws {
        let folder = try temporaryFolder("data")
        defer { remove(folder) }
        let maker = folder.appending(path: "make_data.py")
        try FileManager.default.copyItem(at: Self.examples.appending(path: "data/make_data.py"), to: maker)
        try await blocking {
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/env")
            process.arguments = ["python3", maker.path]
            let text = try Spawner.shared.output(of: process)
            #expect(process.terminationStatus == 0, "\(text)")
        }
        for name in ["access.log", "sales.csv"] {
            let made = try Data(contentsOf: folder.appending(path: name))
            let shipped = try Data(contentsOf: Self.examples.appending(path: "data/\(name)"))
            #expect(made == shipped, "\(name) is not what make_data.py makes on this version of Python")
            #expect(made.count < 300_000)
        }
    }
}
