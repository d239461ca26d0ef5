import Contracts
import Foundation
import MessageBus
import SandboxExecutorService
import Storage
import Testing

extension `Sandboxes` {
    /// Every status, each with what was written before it came to that.
    @Test func `each way to end has its status, and keeps what was written`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor {
                for row in Ending.all {
                    let outcome = try await test.outcome(row.program)
                    #expect(outcome.status == row.status, "\(row.name): \(outcome)")
                    #expect(outcome.stdout.text.hasPrefix("said\n"), "\(row.name): \(outcome.stdout.text.prefix(200))")
                    if row.status != .outputLimit {
                        #expect(outcome.stderr.text.hasPrefix("complained\n"), "\(row.name): \(outcome.stderr.text)")
                    }
                    #expect(outcome.exitCode == row.code, "\(row.name)")
                    if let signal = row.signal { #expect(outcome.signal == signal, "\(row.name)") }
                    #expect(outcome.isolation?.tier == .namespaces, "\(row.name)")
                    #expect(outcome.usage.wallMicroseconds > 0 && outcome.usage.memoryPeakBytes > 0, "\(row.name)")
                }
            }
        }
    }

    @Test func `a canceled run keeps what it wrote, and a waiting one never begins`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor(["GOLDEN_SANDBOX_CONCURRENCY": "1"]) {
                let running = ExecutorUnderTest.newID()
                let events = try test.bus.subscribe(.sandboxEvents(ExecutorUnderTest.tenant, running))
                try await test.ask(ExecutorUnderTest.shell("echo said; sleep 100"), id: running)
                try await test.eventually {
                    try await test.store.find(running, tenant: ExecutorUnderTest.tenant)?.state == .running
                }
                let waiting = try await test.keep(ExecutorUnderTest.shell("echo never"))
                let canceled = try await test.store.cancel(waiting, tenant: ExecutorUnderTest.tenant)
                #expect(canceled?.state == .ended && canceled?.tries == 0)
                // Of its output something must have been seen before.
                for await event in events { if case .output(.stdout, _, _) = event.kind { break } }
                _ = try await test.store.cancel(running, tenant: ExecutorUnderTest.tenant)
                try test.bus.send(SandboxControl(.cancel, running), on: .sandboxControl)
                let (_, outcome) = try await test.untilEnded(running)
                #expect(outcome.status == .canceled && outcome.stdout.text == "said\n")
                #expect(try await test.untilEnded(waiting).outcome.stdout.bytesTotal == 0)
            }
        }
    }

    @Test func `the seed's line shows nothing of the host`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor {
                let outcome = try await test.outcome(
                    ExecutorUnderTest.python(#"import os; os.system("cat /etc/passwd")"#))
                let host = try String(contentsOfFile: "/etc/passwd", encoding: .utf8)
                let lines = Set(host.split(separator: "\n")).subtracting(["root:x:0:0:root:/root:/bin/bash"])
                for line in outcome.stdout.text.split(separator: "\n") { #expect(!lines.contains(line), "\(line)") }
            }
        }
    }

    @Test func `input, arguments, environment and artifacts come and go`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor {
                let code = """
                    import os, sys, pathlib
                    print(sys.stdin.read(), sys.argv[1:], os.environ["APP_X"], open("in/data.txt").read())
                    pathlib.Path("out").mkdir()
                    pathlib.Path("out/a.bin").write_bytes(bytes(range(256)))
                    os.symlink("/etc/passwd", "out/link")
                    """
                let outcome = try await test.outcome(
                    ExecutorUnderTest.python(code) { program in
                        program.stdin = Array("typed".utf8)
                        program.arguments = ["a b", "c"]
                        program.environment = ["APP_X": "set"]
                        program.inputs = [.init(path: "in/data.txt", content: Array("data".utf8))]
                        program.artifacts = ["out"]
                    })
                #expect(outcome.stdout.text == "typed ['a b', 'c'] set data\n", "\(outcome)")
                #expect(outcome.artifacts.map(\.name) == ["out/a.bin"])
                #expect(outcome.artifacts.first?.content == Array(UInt8.min...UInt8.max))
                #expect(outcome.artifactsSkipped == 1)
            }
        }
    }

    @Test func `a large output keeps its beginning and its end`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor {
                let code = "import sys\nfor i in range(300000): sys.stdout.write(f'{i:07}\\n')"
                let outcome = try await test.outcome(ExecutorUnderTest.python(code))
                #expect(outcome.status == .ok && outcome.stdout.bytesTotal == 2_400_000)
                #expect(outcome.stdout.head.count + outcome.stdout.tail.count == 1 << 20)
                #expect(outcome.stdout.text.hasPrefix("0000000\n") && outcome.stdout.text.hasSuffix("0299999\n"))
            }
        }
    }

    @Test func `what no language or rule allows is the caller's to mend`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor {
                var program = ExecutorUnderTest.python("print(1)")
                program.language = "cobol"
                let outcome = try await test.outcome(program)
                #expect(outcome.status == .sandboxError)
                #expect(outcome.failure?.code == SandboxOutcome.Failure.invalidRequest)
                let large = ExecutorUnderTest.shell("echo never") { program in
                    program.inputs = [.init(path: "a", content: [UInt8](repeating: 0x61, count: 2 << 20))]
                    program.limits.diskBytes = 1 << 20
                }
                let refused = try await test.untilEnded(try await test.keep(large)).outcome
                #expect(refused.failure?.code == SandboxOutcome.Failure.invalidRequest, "\(refused)")
                #expect(refused.failure?.message.contains("limits.disk_bytes") == true)
            }
        }
    }

    @Test func `what does not compile says why`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withExecutor {
                let good = SandboxProgram(
                    language: "c", source: .code("#include <stdio.h>\nint main(void) { puts(\"built\"); return 5; }"))
                let ran = try await test.outcome(good)
                #expect(ran.status == .error && ran.exitCode == 5 && ran.stdout.text == "built\n", "\(ran)")
                let bad = try await test.outcome(SandboxProgram(language: "c", source: .code("int main(void) { x }")))
                #expect(bad.status == .error && bad.failedToCompile && bad.stderr.text.contains("error"), "\(bad)")
            }
        }
    }
}

/// A program for one way to end.
struct Ending: Sendable {
    let name: String
    let program: SandboxProgram
    let status: SandboxStatus
    var code: Int?
    var signal: Int?

    private static let words =
        "import sys, os, time\nprint('said', flush=True)\nprint('complained', file=sys.stderr, flush=True)\n"

    private static func python(
        _ code: String, _ change: (inout SandboxLimits) -> Void = { _ in }
    ) -> SandboxProgram {
        var program = ExecutorUnderTest.python(words + code)
        change(&program.limits)
        return program
    }

    static let all: [Ending] = [
        Ending(name: "ok", program: python("pass"), status: .ok, code: 0),
        Ending(name: "error", program: python("sys.exit(3)"), status: .error, code: 3),
        Ending(name: "signal", program: python("os.kill(os.getpid(), 11)"), status: .signal, signal: 11),
        Ending(
            name: "timeout", program: python("time.sleep(60)") { $0.wallMilliseconds = 700 }, status: .timeout),
        Ending(
            name: "timeout of what listens to nothing",
            program: python(
                "import signal\nsignal.signal(15, signal.SIG_IGN)\nos.setsid() if os.fork() == 0 else 0\ntime.sleep(60)"
            ) {
                $0.wallMilliseconds = 700
            }, status: .timeout),
        Ending(
            name: "cpu_limit",
            program: python("while True: pass") {
                $0.cpuSeconds = 1
                $0.wallMilliseconds = 20_000
            }, status: .cpuLimit),
        Ending(
            name: "memory_limit", program: python("x = b'1' * (200 << 20)") { $0.memoryBytes = 64 << 20 },
            status: .memoryLimit),
        Ending(
            name: "output_limit", program: python("while True: sys.stdout.write('x' * 65536)"), status: .outputLimit),
    ]
}
