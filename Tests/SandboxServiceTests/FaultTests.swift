import Contracts
import Foundation
import FoundationNetworking
import SandboxExecutorService
import Storage
import Synchronization
import TestSupport
import Testing

extension `Sandboxes` {
    @Test func `an engine that fails again and again rests, and what waits is run once it is well`() async throws {
        try await ExecutorUnderTest.run { test in
            let (launcher, broken) = try Self.breakableLauncher()
            let port = Mutex(0)
            let replica = try await test.executor([
                "GOLDEN_SANDBOX_LAUNCHER": launcher, "GOLDEN_SANDBOX_WARM": "false", "GOLDEN_SANDBOX_CONCURRENCY": "2",
            ]) { found in port.withLock { $0 = found } }
            try await test.eventually { port.withLock { $0 } > 0 }
            let isOpen = { @Sendable in
                try await Host.metrics(port.withLock { $0 }).contains(#"circuit_breaker_state{name="sandbox"} 2"#)
            }
            #expect(FileManager.default.createFile(atPath: broken, contents: nil))
            var ids: [ExecutionID] = []
            try await test.eventually(seconds: 60) {
                ids.append(try await test.keep(ExecutorUnderTest.shell("echo ran")))
                try await Task.sleep(for: .milliseconds(100))
                return try await isOpen()
            }
            // Nobody is told that a run failed that was never begun.
            let late = try await test.keep(ExecutorUnderTest.shell("echo late"))
            try await Task.sleep(for: .seconds(1))
            #expect(try await test.store.find(late, tenant: ExecutorUnderTest.tenant)?.state == .queued)
            try FileManager.default.removeItem(atPath: broken)
            let (_, outcome) = try await test.untilEnded(late, seconds: 120)
            #expect(outcome.status == .ok && outcome.stdout.text == "late\n")
            let first = try await test.untilEnded(try #require(ids.first)).outcome
            #expect(first.status == .sandboxError && first.failure != nil)
            try await test.eventually(seconds: 60) {
                _ = try await test.outcome(ExecutorUnderTest.shell("exit 0"))
                return try await Host.metrics(port.withLock { $0 }).contains(
                    #"circuit_breaker_state{name="sandbox"} 0"#)
            }
            await replica.stop()
        }
    }

    /// A launcher that fails while the file beside it is there.
    private static func breakableLauncher() throws -> (launcher: String, broken: String) {
        let folder = try temporaryFolder("launcher")
        let broken = folder.appending(path: "broken").path
        let launcher = folder.appending(path: "launcher").path
        let real = "\(ExecutorUnderTest.programs)/sandbox-launcher"
        try "#!/bin/sh\n[ -e \(broken) ] && exit 125\nexec \(real) \"$@\"\n".write(
            toFile: launcher, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: launcher)
        return (launcher, broken)
    }

    @Test func `runs of minutes that go on well close the breaker long before they end`() async throws {
        try await ExecutorUnderTest.run { test in
            let (launcher, broken) = try Self.breakableLauncher()
            let port = Mutex(0)
            let replica = try await test.executor([
                "GOLDEN_SANDBOX_LAUNCHER": launcher, "GOLDEN_SANDBOX_WARM": "false", "GOLDEN_SANDBOX_CONCURRENCY": "5",
            ]) { found in port.withLock { $0 = found } }
            try await test.eventually { port.withLock { $0 } > 0 }
            let stands = { @Sendable (state: Int) async throws -> Bool in
                try await Host.metrics(port.withLock { $0 }).contains(
                    "circuit_breaker_state{name=\"sandbox\"} \(state)")
            }
            #expect(FileManager.default.createFile(atPath: broken, contents: nil))
            let program = ExecutorUnderTest.shell("sleep 120") { $0.limits.wallMilliseconds = 200_000 }
            try await test.eventually(seconds: 60) {
                try await test.keep(program)
                try await Task.sleep(for: .milliseconds(100))
                return try await stands(2)
            }
            try FileManager.default.removeItem(atPath: broken)
            for _ in 0..<5 { try await test.keep(program) }
            try await test.eventually(seconds: 90) { try await stands(0) }
            let running = try await test.postgres.sql(
                "SELECT count(*) FROM sandbox_executions WHERE state = 'running'", database: test.database)
            #expect(running == "5")
            await replica.kill()
        }
    }

    @Test func `a full disk is the program's trouble, and no room for its folder the executor's`() async throws {
        try await ExecutorUnderTest.run { test in
            let state = try temporaryFolder("state").path
            #expect(chmod(state, 0o711) == 0)
            try Host.run("mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=64,mode=711", "tmpfs", state)
            defer { #expect(throws: Never.self) { try Host.run("umount", "-l", state) } }
            let settings = [
                "GOLDEN_SANDBOX_TIER": "restricted", "GOLDEN_SANDBOX_MIN_TIER": "restricted",
                "GOLDEN_SANDBOX_STATE": state,
            ]
            try await test.withExecutor(settings) {
                let full = try await test.outcome(
                    ExecutorUnderTest.shell("dd if=/dev/zero of=fill bs=65536 count=64 2>&1 || echo full"))
                #expect(full.status == .ok && full.stdout.text.hasSuffix("full\n"), "\(full)")
                #expect(full.isolation?.tier == .restricted)
                let next = try await test.outcome(ExecutorUnderTest.shell("echo x >file && cat file"))
                #expect(next.status == .ok && next.stdout.text == "x\n", "what filled it is gone: \(next)")
                try await test.eventually { try FileManager.default.contentsOfDirectory(atPath: state).isEmpty }
                // Somebody else fills it, so that not even a folder can be made. What the last run held open gives its
                // place back a moment later.
                for _ in 0..<10 {
                    for number in 0..<64 {
                        _ = FileManager.default.createFile(atPath: "\(state)/f\(number)", contents: nil)
                    }
                    try await Task.sleep(for: .milliseconds(100))
                }
                let without = try await test.outcome(ExecutorUnderTest.shell("echo never"))
                #expect(
                    without.status == .sandboxError && without.failure?.code == "sandbox_unavailable", "\(without)")
                for number in 0..<64 { unlink("\(state)/f\(number)") }
                #expect(try await test.outcome(ExecutorUnderTest.shell("exit 0")).status == .ok)
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: state).isEmpty)
        }
    }

    @Test func `without a controller nothing is served, unless less was configured`() throws {
        // On a host of version 2 alone, all of them are one mount.
        let hide = "umount -l /sys/fs/cgroup/pids 2>/dev/null || umount -l /sys/fs/cgroup; exec \"$0\" check"
        let program = "\(ExecutorUnderTest.programs)/sandbox-executor"
        let own = [
            "GOLDEN_SANDBOX_FOLDER": ExecutorUnderTest.root.appending(path: "sandbox").path,
            "GOLDEN_SANDBOX_LAUNCHER": "\(ExecutorUnderTest.programs)/sandbox-launcher",
            "GOLDEN_SANDBOX_UID_BASE": "\(Int.random(in: 100_000...1_000_000_000))",
        ]
        func check(_ more: [String: String]) throws -> (status: Int32, report: JSON) {
            let (status, output) = try Host.output(
                ["unshare", "-m", "sh", "-c", hide, program], environment: own.merging(more) { $1 })
            return (status, try JSON(parsing: output))
        }
        let strict = try check([:])
        #expect(strict.status != 0 && strict.report.text.contains("no control groups for"), "\(strict)")
        #expect(strict.report.text.contains("pids") && strict.report.text.contains(#""serving":false"#))
        let lenient = try check(["GOLDEN_SANDBOX_MIN_TIER": "restricted"])
        #expect(lenient.status == 0 && lenient.report.text.contains(#""tier":"restricted""#), "\(lenient)")
        #expect(lenient.report.text.contains(#""memory_limit":"not promised by this tier""#))
    }

    @Test func `the tier without namespaces contains what it promises, in the service`() async throws {
        try await ExecutorUnderTest.run { test in
            let settings = ["GOLDEN_SANDBOX_TIER": "restricted", "GOLDEN_SANDBOX_MIN_TIER": "restricted"]
            try await test.withExecutor(settings) {
                let rows: [(String, String, SandboxStatus, String)] = [
                    ("python", "print(open('/etc/passwd').read())", .error, "PermissionError"),
                    ("python", "import socket; socket.socket()", .error, "PermissionError"),
                    ("python", "import os; os.kill(os.getppid(), 9)", .error, "PermissionError"),
                    ("python", "open('/usr/lib/x', 'w')", .error, "PermissionError"),
                    ("shell", "sleep 60", .timeout, ""), ("shell", "echo fine >f; cat f >&2", .ok, "fine"),
                ]
                for (language, code, status, words) in rows {
                    var program = SandboxProgram(language: language, source: .code(code))
                    program.limits.wallMilliseconds = status == .timeout ? 500 : 20_000
                    let outcome = try await test.outcome(program)
                    #expect(outcome.status == status, "\(code): \(outcome)")
                    #expect(words.isEmpty || outcome.stderr.text.contains(words), "\(code): \(outcome.stderr.text)")
                    #expect(outcome.isolation?.tier == .restricted && outcome.isolation?.cgroup == "none")
                }
            }
        }
    }

    /// The wall clock of one executor is set a day ahead and then back, by a library that stands before C's own.
    @Test func `a clock that jumps ends no run and loses none`() async throws {
        try await ExecutorUnderTest.run { test in
            let folder = try temporaryFolder("clock")
            let (source, library, offset) = ("\(folder.path)/c.c", "\(folder.path)/c.so", "\(folder.path)/offset")
            try Self.jumpingClock(offset).write(toFile: source, atomically: true, encoding: .utf8)
            try "0".write(toFile: offset, atomically: true, encoding: .utf8)
            try Host.run("cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl")
            let port = freePort()
            let executor = ServerProcess(
                "\(ExecutorUnderTest.programs)/sandbox-executor", ["serve"],
                environment: test.settings(["GOLDEN_HTTP_PORT": "\(port)", "LD_PRELOAD": library]),
                logFile: folder.appending(path: "log"))
            try await blocking { try executor.start(within: .seconds(60)) { accepts(port: port) } }
            let id = try await test.keep(
                ExecutorUnderTest.shell("sleep 6; echo done") { $0.limits.wallMilliseconds = 60_000 })
            try await test.eventually {
                try await test.store.find(id, tenant: ExecutorUnderTest.tenant)?.state == .running
            }
            for jump in ["86400", "-86400", "0"] {
                try jump.write(toFile: offset, atomically: true, encoding: .utf8)
                try await Task.sleep(for: .milliseconds(1500))
                let brief = try await test.keep(
                    ExecutorUnderTest.shell("sleep 60") { $0.limits.wallMilliseconds = 300 })
                let outcome = try await test.untilEnded(brief).outcome
                #expect(outcome.status == .timeout && outcome.usage.wallMicroseconds < 30_000_000, "\(outcome)")
            }
            let (execution, outcome) = try await test.untilEnded(id)
            #expect(outcome.status == .ok && outcome.stdout.text == "done\n" && execution.tries == 1)
            try await blocking { executor.terminate() }
        }
    }

    private static func jumpingClock(_ offset: String) -> String {
        """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/time.h>
        #include <time.h>
        #include <unistd.h>
        static long offset(void) {
            char text[32] = "";
            int fd = open("\(offset)", O_RDONLY | O_CLOEXEC);
            if (fd < 0) return 0;
            ssize_t length = read(fd, text, sizeof text - 1);
            close(fd);
            return length > 0 ? atol(text) : 0;
        }
        int clock_gettime(clockid_t clock, struct timespec *now) {
            static int (*real)(clockid_t, struct timespec *);
            if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
            int code = real(clock, now);
            if (clock == CLOCK_REALTIME) now->tv_sec += offset();
            return code;
        }
        int gettimeofday(struct timeval *now, void *zone) {
            struct timespec exact;
            int code = clock_gettime(CLOCK_REALTIME, &exact);
            now->tv_sec = exact.tv_sec;
            now->tv_usec = exact.tv_nsec / 1000;
            return code;
        }
        """
    }

    /// How many runs; `GOLDEN_SANDBOX_STORM=1000` for as many as the promise speaks of.
    private static let stormRuns = Int(ProcessInfo.processInfo.environment["GOLDEN_SANDBOX_STORM"] ?? "") ?? 150

    @Test func `of runs whose executors are killed at random each ends once, and nothing is left`() async throws {
        try await ExecutorUnderTest.run { test in
            let mark = "golden-storm-\(UUID().uuidString)"
            let mounts = try Host.mounts()
            var replicas: [ServerProcess] = []
            var pids: [Int32] = []
            for number in 0..<2 {
                let port = freePort()
                let log = try temporaryFolder("storm-\(number)").appending(path: "log")
                replicas.append(
                    ServerProcess(
                        "\(ExecutorUnderTest.programs)/sandbox-executor", ["serve"],
                        environment: test.settings(["GOLDEN_HTTP_PORT": "\(port)"]), logFile: log))
                let replica = replicas[number]
                try await blocking { try replica.start(within: .seconds(60)) { accepts(port: port) } }
                pids.append(try #require(replica.pid))
            }
            let code = "(setsid sh -c ': \(mark); trap \"\" TERM HUP; sleep 30' &) ; echo begun; sleep 0.3; echo done"
            var ids: [ExecutionID] = []
            for number in 0..<Self.stormRuns {
                let program =
                    number % 3 == 0
                    ? ExecutorUnderTest.python(
                        "import time; print('begun', flush=True); time.sleep(0.2); print('done')")
                    : ExecutorUnderTest.shell(code)
                ids.append(try await test.keep(program))
            }
            var kills = 0
            while kills < max(6, Self.stormRuns / 25), try await test.store.waiting(limit: 1).count > 0 {
                try await Task.sleep(for: .milliseconds(.random(in: 300...2000)))
                let replica = replicas[kills % 2]
                replica.kill()
                kills += 1
                try await blocking { try replica.start(within: .seconds(60)) { true } }
                pids.append(try #require(replica.pid))
            }
            var ended: [SandboxStatus: Int] = [:]
            for id in ids {
                let (execution, outcome) = try await test.untilEnded(id, seconds: 180)
                ended[outcome.status, default: 0] += 1
                if outcome.status == .ok {
                    #expect(outcome.stdout.text == "begun\ndone\n")
                } else {
                    #expect(outcome.failure?.code == "executor_lost" && execution.tries == 3, "\(outcome)")
                }
            }
            print("storm: \(Self.stormRuns) runs, \(kills) kills of executors, \(ended)")
            #expect(kills >= 3 && ended[.ok, default: 0] > Self.stormRuns / 2)
            #expect(try await test.store.waiting(limit: 1).count == 0)
            try await expectNothing(of: pids, replicas, mark, test)
            #expect(try Host.mounts().subtracting(mounts).isEmpty)
        }
    }
}

/// Those that live remove what the dead have left, without a new start; then they leave nothing of their own.
private func expectNothing(
    of pids: [Int32], _ replicas: [ServerProcess], _ mark: String, _ test: ExecutorUnderTest
) async throws {
    let dead = pids.filter { pid in !replicas.contains { $0.pid == pid } }
    try await test.eventually(seconds: 90) { try dead.allSatisfy { try Host.groups(of: $0).isEmpty } }
    try await test.eventually { try Host.processes(with: mark) == 0 }
    let living = replicas.compactMap(\.pid)
    for replica in replicas { try await blocking { replica.terminate() } }
    try await test.eventually(seconds: 60) { try living.allSatisfy { try Host.groups(of: $0).isEmpty } }
    for folder in ["/tmp", "/dev/shm"] {
        let left = try FileManager.default.contentsOfDirectory(atPath: folder).filter { name in
            pids.contains { name.hasPrefix("golden-sandbox.\($0).") }
        }
        #expect(left.isEmpty)
    }
}

extension Host {
    static func metrics(_ port: Int) async throws -> String {
        let url = try #require(URL(string: "http://127.0.0.1:\(port)/metrics"))
        return String(decoding: try await URLSession.shared.data(from: url).0, as: UTF8.self)
    }

    /// Where something is mounted.
    static func mounts() throws -> Set<Substring> {
        let text = try String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
        return Set(text.split(separator: "\n").compactMap { $0.split(separator: " ").dropFirst(4).first })
    }

    static func run(_ words: String...) throws {
        let (status, output) = try output(words, environment: [:])
        try #require(status == 0, "\(words): \(String(decoding: output, as: UTF8.self))")
    }

    /// Runs a program to its end.
    static func output(_ words: [String], environment: [String: String]) throws -> (Int32, [UInt8]) {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = words
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let pipe = Pipe()
        process.standardOutput = pipe
        try Spawner.shared.start(process)
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        Spawner.shared.wait(for: process)
        return (process.terminationStatus, Array(output))
    }
}
