import AgentWorkerService
import Contracts
import Foundation
import MessageBus
import TestSupport
import Testing

func shell(_ script: String, environment: [String: String] = [:]) -> AgentWorkerConfiguration.CommandSettings {
    AgentWorkerConfiguration.CommandSettings(
        program: "sh", arguments: ["-c", script],
        environment: environment.merging(["PATH": "/usr/bin:/bin"]) { first, _ in first }
    )
}

@Suite(.serialized, .timeLimit(.minutes(2)))
struct CommandBackendTests {
    /// Runs one item through a shell script and returns all it reported.
    private func reports(
        _ script: String, input: String = "{}", environment: [String: String] = [:]
    ) async throws -> [AgentReport] {
        var found: [AgentReport] = []
        try await Bench.run(TestNATS.binaries[0]) { bench in
            let reports = try bench.reports()
            try await bench.withWorker(.command(shell(script, environment: environment))) { _ in
                try await bench.submit(input)
                found = await reports.collect(until: \.isOutcome)
                try await bench.untilWorkIsDone()
            }
        }
        return found
    }

    @Test(
        arguments: [
            ("cat >/dev/null; echo no; exit 0", "bad_output", false), ("exit 3", "exit_3", false),
            ("echo sorry >&2; exit 75", "temporary_failure", true), ("kill -9 $$", "signal_9", true),
            ("cat >/dev/null; head -c 2000000 /dev/zero | tr '\\0' 1", "output_too_large", false),
            ("/nonexistent/program", "exit_127", false),
            ("cat >/dev/null; (sleep 1; echo 1) & exit 0", "bad_output", false),
        ]
    )
    func `every end of a program is reported as documented`(
        _ script: String, _ code: String, _ isRetryable: Bool
    ) async throws {
        let failure = try await reports(script).last?.failure
        #expect(failure?.code == code)
        #expect(failure?.isRetryable == isRetryable)
    }

    @Test func `exit 65 rejects the work`() async throws {
        let report = try await reports("echo 'line 7 is no CSV' >&2; exit 65").last
        #expect(report?.body == .rejected(reason: "The program refused the input: line 7 is no CSV"))
    }

    @Test func `the program gets the work item's own bytes and its output is the result`() async throws {
        let report = try await reports("cat", input: "{\"deep\": [1, {\"x\": \"ü\"}], \"big\": 12345678901234567890}")
            .last
        guard case .completed(let output, _) = report?.body else {
            Issue.record("not completed: \(String(describing: report))")
            return
        }
        let item = try WorkItem(json: output)
        #expect(item.task == report?.task)
        #expect(item.input.text == "{\"deep\": [1, {\"x\": \"ü\"}], \"big\": 12345678901234567890}")
    }

    @Test func `a program that never reads a large input can still succeed`() async throws {
        let input = "\"" + String(repeating: "x", count: 1_000_000) + "\""
        let report = try await reports("echo '{\"ok\": true}'", input: input).last
        #expect(report?.body == .completed(output: try JSON(parsing: Array("{\"ok\": true}".utf8)), usage: nil))
    }

    @Test func `progress lines travel in order, ahead of the result, with usage`() async throws {
        let script = """
            cat >/dev/null
            for n in 1 2 3; do echo "{\\"progress\\": \\"step $n\\", \\"data\\": {\\"n\\": $n}}" >&2; done
            echo "just talk" >&2
            echo '{"usage": {"tokens": 42}}' >&2
            echo '"done"'
            """
        let found = try await reports(script)
        #expect(found.count == 4)
        for (index, report) in found.dropLast().enumerated() {
            let data = try JSON(parsing: Array("{\"n\": \(index + 1)}".utf8))
            #expect(report.body == .progress(number: index + 1, message: "step \(index + 1)", data: data))
        }
        #expect(
            found.last?.body == .completed(output: try JSON(parsing: Array("\"done\"".utf8)), usage: .init(tokens: 42)))
    }

    @Test func `a program sees only the environment it may see`() async throws {
        let allowed = AgentWorkerConfiguration.CommandSettings.allowed(
            [
                "PATH": "/usr/bin:/bin", "HOME": "/home/x", "GOLDEN_NATS_PASSWORD": "secret", "PYTHONPATH": "/p",
                "LC_ALL": "C", "API_KEY": "k", "OTHER": "o",
            ],
            adding: ["API_KEY"]
        )
        #expect(Set(allowed.keys) == ["PATH", "HOME", "PYTHONPATH", "LC_ALL", "API_KEY"])
        let script = "cat >/dev/null; printf '\"%s %s\"' \"$API_KEY\" \"${GOLDEN_NATS_PASSWORD-none}\""
        let report = try await reports(script, environment: allowed).last
        #expect(report?.body == .completed(output: try JSON(parsing: Array("\"k none\"".utf8)), usage: nil))
    }

    @Test func `cancel kills the program and all it started, even what ignores SIGTERM`() async throws {
        let folder = try temporaryFolder("agent")
        defer { remove(folder) }
        let script = """
            trap '' TERM
            sh -c 'trap "" TERM; echo $$ > \(folder.path)/child; while :; do sleep 1; done' &
            echo $$ > \(folder.path)/parent
            while [ ! -s \(folder.path)/child ]; do sleep 0.05; done
            echo '{"progress": "ready"}' >&2
            while :; do sleep 1; done
            """
        try await Bench.run(TestNATS.binaries[0]) { bench in
            let reports = try bench.reports()
            try await bench.withWorker(.command(shell(script))) { _ in
                let item = try await bench.submit()
                _ = await reports.collect { _ in true }
                let pids = try [pid(folder, "parent"), pid(folder, "child")]
                #expect(pids.allSatisfy(isAlive))
                let start = ContinuousClock.now
                try bench.bus.send(CancelNotice(task: item.task, attempt: 1, reason: "test"), on: .cancel(item.task))
                try await bench.untilWorkIsDone()
                #expect(start.duration(to: .now) < .seconds(15))
                while pids.contains(where: isAlive) { try await Task.sleep(for: .milliseconds(5)) }
            }
        }
    }

    @Test func `a program that keeps running after its result is complete is not left behind`() async throws {
        let folder = try temporaryFolder("agent")
        defer { remove(folder) }
        let script = """
            sh -c 'echo $$ > \(folder.path)/left; exec sleep 600' >/dev/null 2>&1 &
            while [ ! -s \(folder.path)/left ]; do sleep 0.05; done
            echo 1
            """
        let report = try await reports(script).last
        #expect(report?.body == .completed(output: try JSON(parsing: Array("1".utf8)), usage: nil))
        let left = try pid(folder, "left")
        while isAlive(left) { try await Task.sleep(for: .milliseconds(5)) }
    }

    @Test func `a program that does not exist is refused at the start`() async throws {
        try await Bench.run(TestNATS.binaries[0]) { bench in
            for program in ["no-such-program-anywhere", "/no/such/program", "./relative/none"] {
                let settings = AgentWorkerConfiguration.CommandSettings(
                    program: program, arguments: [], environment: ["PATH": "/usr/bin:/bin"]
                )
                let error = await #expect(throws: AgentWorkerError.self) {
                    try await bench.withWorker(.command(settings)) { _ in }
                }
                #expect(error?.code == .programNotFound)
            }
        }
    }

    @Test func `an agent killed with SIGKILL leaves no program running`() async throws {
        let folder = try temporaryFolder("agent")
        defer { remove(folder) }
        let script = """
            sh -c 'echo $$ > \(folder.path)/child; exec sleep 600' &
            while [ ! -s \(folder.path)/child ]; do sleep 0.05; done
            echo $$ > \(folder.path)/parent
            sleep 600
            """
        try await Bench.run(TestNATS.binaries[0]) { bench in
            let agent = ServerProcess(
                agentWorkerPath, ["--role", "developer", "--", "sh", "-c", script],
                environment: ["GOLDEN_NATS_URL": bench.server.url], logFile: folder.appending(path: "log")
            )
            try await bench.submit()
            try await blocking {
                try agent.start { (try? String(contentsOf: folder.appending(path: "parent"), encoding: .utf8)) != nil }
            }
            let pids = try [pid(folder, "parent"), pid(folder, "child")]
            #expect(pids.allSatisfy(isAlive))
            try await blocking { agent.kill() }
            while pids.contains(where: isAlive) { try await Task.sleep(for: .milliseconds(5)) }
        }
    }
}

/// The executable under test, beside the test bundle.
let agentWorkerPath: String =
    URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "agent-worker").path

func pid(_ folder: URL, _ name: String) throws -> Int32 {
    let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
    return try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
}

/// A process that ended and was not collected yet counts as gone.
func isAlive(_ pid: Int32) -> Bool {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
    return !status.contains(") Z ")
}

func remove(_ folder: URL) {
    try? FileManager.default.removeItem(at: folder)
}
