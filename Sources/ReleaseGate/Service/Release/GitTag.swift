internal import Foundation
internal import ReleaseGateCore
internal import Subprocess

/// Asks Git about a tag.
enum GitTag {
    private static let outputBytesMax = 64 << 10

    /// - Throws: `invalid` when the folder is no repository.
    static func facts(_ name: String, in repository: String) async throws(GateError) -> TagRules.Facts {
        guard try await git(["rev-parse", "--git-dir"], repository) != nil else {
            throw GateError(.invalid, "\(repository) is no Git repository.")
        }
        let reference = "refs/tags/\(name)"
        guard let kind = try await git(["cat-file", "-t", reference], repository),
            let commit = try await git(["rev-parse", "--verify", "\(reference)^{commit}"], repository)
        else { return .missing }
        return kind == "tag" ? .annotated(commit: commit) : .lightweight(commit: commit)
    }

    /// Its answer's one line; nil when it refused.
    private static func git(_ words: [String], _ repository: String) async throws(GateError) -> String? {
        do {
            let result = try await Subprocess.run(
                .name("git"), arguments: Arguments(["-C", repository] + words), input: .none,
                output: .string(limit: outputBytesMax), error: .discarded)
            guard result.terminationStatus.isSuccess else { return nil }
            return result.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
        } catch {
            throw GateError(.adapterFailed, "git could not be run.", underlying: error)
        }
    }
}
