import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

/// A promotion to staging whose pull request is opened: with a real Git, and a `gh` that records what it is asked.
@Suite(.timeLimit(.minutes(10))) struct `A pull request` {
    private static let version = "1.2.0-rc.1"
    private static let file = "environments/staging/apps.yaml"

    private static func git(_ folder: String, _ words: String...) throws -> String {
        let who = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-C", folder]
        let outcome = try Command.run("git", who + words)
        guard outcome.status == 0 else { throw TestFailure(description: outcome.output) }
        return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// A repository with an origin, its tag, and a release that dev has sealed.
    private static func folder(adapters: String = "preset: [github]") async throws -> ReleaseFolder {
        let folder = try ReleaseFolder()
        let path = folder.path
        let work = path + "/work"
        let manager = FileManager.default
        for name in ["work/environments/staging", "bin"] {
            try manager.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
        }
        _ = try git(path, "init", "-q", "--bare", path + "/origin.git")
        _ = try git(work, "init", "-q", "-b", "main")
        try folder.write("work/\(file)", "spec:\n  targetRevision: 1.1.0\n")
        _ = try git(work, "add", ".")
        _ = try git(work, "commit", "-q", "-m", "one")
        _ = try git(work, "remote", "add", "origin", path + "/origin.git")
        _ = try git(work, "config", "user.name", "Test")
        _ = try git(work, "config", "user.email", "test@example.com")
        _ = try git(work, "tag", "-a", "v\(version)", "-m", "it")
        _ = try git(work, "push", "-q", "origin", "main")
        try folder.write(
            "bin/gh", "#!/bin/sh\nfor word in \"$@\"; do echo \"$word\"; done > '\(path)/asked'\n", executable: true)
        try folder.write(
            "gate.yaml", try folder.read("gate.yaml").replacing("adapters:\n", with: "adapters:\n  \(adapters)\n"))
        let commit = try git(work, "rev-parse", "HEAD")
        try folder.writeRelease(version, commit: commit)
        try folder.keepFirstService()
        let release = try folder.release
        #expect(try await folder.gate { try await $0.canary(release, environment: "dev", isArmed: true) } == 0)
        try await folder.gate {
            try await $0.certificate(
                release, environment: "dev", keyFile: path + "/release", signer: "Release Manager", resources: [],
                out: path + "/certs")
        }
        try folder.writePreconditions()
        try folder.writeRelease(version, commit: commit, more: "preconditions: [preconditions.yaml]")
        try folder.keepFirstService()
        return folder
    }

    private static func promote(_ folder: ReleaseFolder) async throws {
        let (path, release) = (folder.path, try folder.release)
        try await folder.gate {
            try await $0.promote(
                release, from: "dev", to: "staging", approvals: nil, certificate: path + "/certs/certificate.json",
                gitOps: ("\(path)/work/\(file)", path + "/promotion"), repository: path + "/work", opens: true)
        }
    }

    @Test func `is a branch with the patch, and leaves the work tree as it was`() async throws {
        // The program by its path: tests share one PATH.
        let folder = try await Self.folder()
        let path = folder.path
        try folder.write("gate.yaml", try folder.read("gate.yaml").replacing("preset: [github]", with: Self.gh(path)))
        let before = try Self.git(path + "/work", "rev-parse", "HEAD")
        try await Self.promote(folder)
        let branch = "promote-\(Self.version)-staging"
        #expect(
            try folder.read("asked").split(separator: "\n").map(String.init) == [
                "pr", "create", "--head", branch, "--title", "Promote \(Self.version) from dev to staging",
                "--body-file",
                "\(path)/promotion/pull-request.md", "--draft=false",
            ])
        let text = try Self.git(path + "/origin.git", "show", "\(branch):\(Self.file)")
        #expect(text == "spec:\n  targetRevision: \(Self.version)")
        #expect(try Self.git(path + "/origin.git", "rev-parse", "\(branch)^") == before)
        #expect(try Self.git(path + "/work", "rev-parse", "HEAD") == before)
        #expect(try Self.git(path + "/work", "status", "--porcelain") == "")
        #expect(try Self.git(path + "/work", "worktree", "list").split(separator: "\n").count == 1)
        #expect(try folder.read("promotion/pull-request.md").contains("signatures: all 1 images are signed"))
    }

    /// The preset's words, with the stand-in in place of the program.
    private static func gh(_ path: String) throws -> String {
        let words = try #require(Adapter.presets["github"]?[.open])
        return "open: [\((["\(path)/bin/gh"] + words.dropFirst()).map { "\"\($0)\"" }.joined(separator: ", "))]"
    }

    @Test func `that somebody else's branch stands in the way of is not forced`() async throws {
        let folder = try await Self.folder()
        let path = folder.path
        try folder.write("gate.yaml", try folder.read("gate.yaml").replacing("preset: [github]", with: Self.gh(path)))
        _ = try Self.git(path + "/work", "commit", "-q", "--allow-empty", "-m", "theirs")
        _ = try Self.git(path + "/work", "push", "-q", "origin", "HEAD:refs/heads/promote-\(Self.version)-staging")
        _ = try Self.git(path + "/work", "reset", "-q", "--hard", "HEAD^")
        let error = await #expect(throws: GateError.self) { try await Self.promote(folder) }
        #expect(error?.code == .adapterFailed && error?.message.contains("push") == true)
        #expect(!FileManager.default.fileExists(atPath: path + "/asked"))
        #expect(try Self.git(path + "/work", "worktree", "list").split(separator: "\n").count == 1)
    }

    @Test func `needs somebody who opens it`() async throws {
        let folder = try await Self.folder(adapters: "uninstall: [\"true\"]")
        let error = await #expect(throws: GateError.self) { try await Self.promote(folder) }
        #expect(error?.code == .invalid && error?.next?.contains("preset: [github]") == true)
    }
}
