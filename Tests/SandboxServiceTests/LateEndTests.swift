import Contracts
import Foundation
import SandboxExecutorService
import TestSupport
import Testing

/// What ends late, or breaks off.
extension `Sandboxes` {
    @Test func `a slot whose run did not end in time is free again once it has`() async throws {
        try await ExecutorUnderTest.run { test in
            let folder = try temporaryFolder("late")
            let late = "\(folder.path)/late"
            // As long as that file is there, something stays in the group of each run.
            let launcher = try Self.launcher(
                in: folder,
                """
                "$real" "$@"
                code=$?
                [ -e \(late) ] || exit $code
                while [ "$1" != --cgroup-v2 ]; do shift; done
                mkdir "$2/late"
                exit $code
                """)
            let settings = [
                "GOLDEN_SANDBOX_LAUNCHER": launcher, "GOLDEN_SANDBOX_CONCURRENCY": "1", "GOLDEN_SANDBOX_WARM": "false",
            ]
            try await test.withExecutor(settings) {
                #expect(FileManager.default.createFile(atPath: late, contents: nil))
                var count = 0
                var last = try await test.outcome(ExecutorUnderTest.shell("exit 0"))
                while last.status == .ok, count < 100 {
                    count += 1
                    last = try await test.outcome(ExecutorUnderTest.shell("exit 0"))
                }
                #expect(count > 1 && last.failure?.code == "sandbox_unavailable", "\(count): \(last)")
                try FileManager.default.removeItem(atPath: late)
                for group in try Host.runGroups() where group.hasSuffix("/late") { #expect(rmdir(group) == 0) }
                try await test.eventually(seconds: 90) { try Host.runGroups().isEmpty }
                #expect(try await test.outcome(ExecutorUnderTest.shell("exit 0")).status == .ok)
            }
        }
    }

    @Test func `a warm interpreter that is dying begins nothing, and its run is done by another`() async throws {
        try await ExecutorUnderTest.run { test in
            try await test.withWarmExecutor {
                for launcher in try Host.children(of: getpid()) where Host.words(launcher).contains("--feed-fd") {
                    // It says nothing of the end of its init.
                    #expect(kill(launcher, SIGSTOP) == 0)
                    for inside in try Host.children(of: launcher) {
                        #expect(kill(inside, SIGKILL) == 0)
                        try await test.eventually { Host.isDead(inside) }
                    }
                }
                let outcome = try await test.outcome(ExecutorUnderTest.python("print('ran')"))
                #expect(outcome.status == .ok && outcome.stdout.text == "ran\n", "\(outcome)")
                #expect(outcome.isolation?.isWarm == false)
            }
        }
    }

    @Test func `artifacts that are cut off on their way are told to be missing`() async throws {
        try await ExecutorUnderTest.run { test in
            let folder = try temporaryFolder("cut")
            let launcher = try Self.launcher(in: folder, #"exec "$real" "$@" 4>/dev/null"#)
            try await test.withExecutor(["GOLDEN_SANDBOX_LAUNCHER": launcher, "GOLDEN_SANDBOX_WARM": "false"]) {
                let outcome = try await test.outcome(
                    ExecutorUnderTest.shell("echo x >out") { $0.artifacts = ["out"] })
                #expect(outcome.status == .ok && outcome.artifacts.isEmpty && outcome.artifactsTruncated, "\(outcome)")
                let without = try await test.outcome(ExecutorUnderTest.shell("echo x >out"))
                #expect(without.status == .ok && !without.artifactsTruncated, "\(without)")
            }
        }
    }

    /// A program that stands before the launcher, which it finds as `$real`.
    private static func launcher(in folder: URL, _ script: String) throws -> String {
        let path = folder.appending(path: "launcher").path
        let real = "\(ExecutorUnderTest.programs)/sandbox-launcher"
        try "#!/bin/sh\nreal=\(real)\n\(script)\n".write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return path
    }
}

extension Host {
    /// Control groups of runs of this process's executors, with what is below them, the lowest first.
    fileprivate static func runGroups() throws -> [String] {
        let pattern = "*/golden-sandbox.\(getpid()).*/run-*"
        let words = ["find", "/sys/fs/cgroup", "-depth", "-type", "d", "-path", pattern]
        let (_, output) = try output(words, environment: [:])
        return String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// Those that its threads have started.
    fileprivate static func children(of pid: pid_t) throws -> [pid_t] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task").flatMap { thread in
            text("/proc/\(pid)/task/\(thread)/children").split(separator: " ").compactMap { pid_t($0) }
        }
    }

    fileprivate static func words(_ pid: pid_t) -> [Substring] { text("/proc/\(pid)/cmdline").split(separator: "\0") }

    /// It has ended, and nobody has asked how.
    fileprivate static func isDead(_ pid: pid_t) -> Bool { text("/proc/\(pid)/stat").contains(") Z ") }

    /// Empty when it is gone.
    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }
}
