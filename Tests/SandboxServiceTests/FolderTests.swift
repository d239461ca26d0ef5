import Contracts
import Foundation
import SandboxExecutorService
import TestSupport
import Testing

/// The folders that runs have in the tier without namespaces.
extension `Sandboxes` {
    private static let restricted = ["GOLDEN_SANDBOX_TIER": "restricted", "GOLDEN_SANDBOX_MIN_TIER": "restricted"]

    @Test func `folders of executors that are gone are removed, and no others`() async throws {
        try await ExecutorUnderTest.run { test in
            let state = try temporaryFolder("state").path
            let elsewhere = try temporaryFolder("elsewhere").path
            #expect(chmod(state, 0o711) == 0)
            let uid = Int.random(in: 100_000...1_000_000_000)
            let stat = try String(contentsOfFile: "/proc/self/stat", encoding: .utf8)
            let began = try #require(stat.split(separator: ")").last?.split(separator: " ").dropFirst(19).first)
            // As in a container that began anew: the number of a process that lives, which began at another time.
            let gone = "\(state)/golden-sandbox.\(getpid()).1"
            let living = "\(state)/golden-sandbox.\(getpid()).\(began).a"
            try Host.run(
                "sh", "-ec",
                """
                mkdir -m 700 \(gone).a \(gone).b \(living)
                cd \(gone).a
                for i in $(seq 300); do mkdir d; cd d; done
                touch file \(gone).b/file \(living)/file \(elsewhere)/file
                ln -s \(elsewhere) \(gone).c
                ln -s \(elsewhere) \(gone).a/link
                chown -hR \(uid):\(uid) \(gone).a \(living) \(elsewhere)
                chown -R \(uid - 1):\(uid - 1) \(gone).b
                """)
            let settings = ["GOLDEN_SANDBOX_STATE": state, "GOLDEN_SANDBOX_UID_BASE": "\(uid)"]
            try await test.withExecutor(settings.merging(Self.restricted) { $1 }) {
                try await test.eventually { !FileManager.default.fileExists(atPath: "\(gone).a") }
                #expect(try await test.outcome(ExecutorUnderTest.shell("echo x >f && cat f")).status == .ok)
            }
            for kept in ["\(gone).b/file", "\(living)/file", "\(elsewhere)/file", "\(gone).c/file"] {
                #expect(FileManager.default.fileExists(atPath: kept), "\(kept)")
            }
        }
    }

    @Test func `a uid whose folder is not empty is nobody else's until it is`() async throws {
        try await ExecutorUnderTest.run { test in
            let folder = try temporaryFolder("left")
            #expect(chmod(folder.path, 0o711) == 0)
            let (stuck, launcher) = ("\(folder.path)/stuck", "\(folder.path)/launcher")
            try Self.leavingLauncher(stuck).write(toFile: launcher, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: launcher)
            let settings = [
                "GOLDEN_SANDBOX_LAUNCHER": launcher, "GOLDEN_SANDBOX_STATE": folder.path,
                "GOLDEN_SANDBOX_CONCURRENCY": "1",
            ]
            try await test.withExecutor(settings.merging(Self.restricted) { $1 }) {
                #expect(FileManager.default.createFile(atPath: stuck, contents: nil))
                var uids: [String] = []
                var last = try await test.outcome(ExecutorUnderTest.shell("id -u"))
                while last.status == .ok, uids.count < 100 {
                    uids.append(last.stdout.text)
                    last = try await test.outcome(ExecutorUnderTest.shell("id -u"))
                }
                #expect(uids.count > 1 && Set(uids).count == uids.count, "\(uids)")
                #expect(last.failure?.code == "sandbox_unavailable", "\(last)")
                try FileManager.default.removeItem(atPath: stuck)
                try await test.eventually(seconds: 90) {
                    try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["launcher"]
                }
                #expect(try await test.outcome(ExecutorUnderTest.shell("id -u")).status == .ok)
            }
        }
    }

    /// While the file `stuck` is there, something is in the folder of each run after its end, and is not removed.
    private static func leavingLauncher(_ stuck: String) -> String {
        let launcher = "\(ExecutorUnderTest.programs)/sandbox-launcher"
        return """
            #!/bin/sh
            [ -e \(stuck) ] || exec \(launcher) "$@"
            case "$*" in *--empty*) exit 125 ;; esac
            \(launcher) "$@"
            while [ "$1" != --restricted ]; do shift; done
            : >"$2/file"

            """
    }
}
