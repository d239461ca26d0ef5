internal import Foundation
internal import ReleaseGateCore

/// Opens a promotion's pull request: a branch with the patch, pushed to `origin`, and the adapter's `open` for it. The
/// repository's own work tree and branches stay as they are.
struct PullRequest {
    let runner: AdapterRunner
    /// The work tree that the patch is about.
    let repository: String
    /// Where the promotion's files are.
    let folder: String
    let files: GitOpsFiles
    let branch: String

    /// - Throws: `adapterFailed` at the first command that fails; what was pushed stays.
    func open(_ values: [CommandTemplate.Place: String]) async throws(GateError) {
        guard runner.carriesOut(.open) else {
            throw GateError(
                .invalid, "No command is configured to open a pull request.",
                next: "gate.yaml: adapters: {preset: [github]}, or open: [words].")
        }
        let (repository, folder) = (Self.absolute(repository), Self.absolute(folder))
        let tree = FileManager.default.temporaryDirectory.appending(path: "\(branch)-\(UUID().uuidString)").path
        try await runner.step(["git", "-C", repository, "worktree", "add", "-q", "--detach", tree, "HEAD"])
        do {
            try await runner.step(["git", "-C", tree, "apply", "--index", "\(folder)/promotion.patch"])
            try await runner.step(["git", "-C", tree, "commit", "-q", "-m", files.title])
            // Not by force: what somebody pushed under this name is looked at first.
            try await runner.step(["git", "-C", tree, "push", "-q", "origin", "HEAD:refs/heads/\(branch)"])
        } catch {
            try await runner.step(["git", "-C", repository, "worktree", "remove", "--force", tree])
            throw error
        }
        try await runner.step(["git", "-C", repository, "worktree", "remove", "--force", tree])
        let own: [CommandTemplate.Place: String] = [
            .branch: branch, .title: files.title, .body: "\(folder)/pull-request.md", .draft: "\(files.isDraft)",
        ]
        try await runner.run(.open, services: [], values: values.merging(own) { $1 })
    }

    private static func absolute(_ path: String) -> String {
        URL(filePath: path, relativeTo: URL(filePath: FileManager.default.currentDirectoryPath)).standardizedFileURL
            .path
    }

    /// How a patch names a file of the repository; the path itself when it is of none.
    static func place(of file: String, in repository: String?) -> String {
        guard let repository else { return file }
        let (file, root) = (absolute(file), absolute(repository))
        return file.hasPrefix(root + "/") ? String(file.dropFirst(root.count + 1)) : file
    }
}
