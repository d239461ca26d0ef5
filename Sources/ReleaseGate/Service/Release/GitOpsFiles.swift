package import ReleaseGateCore

/// What a promotion looks like in Git: a patch, the pull request's text, and whether it is a draft. Files only; whoever
/// opens the pull request has the rights for it.
package struct GitOpsFiles: Sendable, Equatable {
    package let patch: String
    /// Takes the patch back, for the fast track.
    package let revertPatch: String
    package let revertBody: String
    package let title: String
    package let body: String
    /// Production's wait for people.
    package let isDraft: Bool

    /// - Parameters:
    ///   - file: path of the environment's file within the repository, and its text.
    ///   - images: what each image becomes.
    /// - Throws: `invalid` when the file names nothing that the release changes.
    package init(
        train: ReleaseTrain, from source: DeployEnvironment, to target: DeployEnvironment, file: String, text: String,
        checks: [String], planSHA256: String, rollbackTo: Version?
    ) throws(GateError) {
        let old = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let new = Self.changed(old, train)
        guard old != new else {
            throw GateError(
                .invalid, "\(file) names neither targetRevision nor an image of this release, or has them already.")
        }
        // Chart and images go together: what names some of the images and not all would run a mixture.
        let named = train.cars.filter { car in new.contains { $0.contains(car.image.sha256) } }.map(\.service)
        let unnamed = train.cars.map(\.service).filter { !named.contains($0) }
        guard named.isEmpty || unnamed.isEmpty else {
            throw GateError(
                .invalid, "\(file) names no image of \(unnamed.joined(separator: ", ")).",
                next: "Name it there by repository and digest, as the others.")
        }
        patch = Self.patch(file, old, new)
        revertPatch = Self.patch(file, new, old)
        let back = rollbackTo.map { "\($0)" } ?? "what ran before"
        revertBody = """
            # Roll back \(train.version) in \(target.rawValue)

            Brings back \(back). Label: `\(Self.revertLabel)` (the fast track: one review, no soak).
            Record it: `release-gate rollback --env \(target.rawValue) --reason "<why>"`.

            """
        title = "Promote \(train.version) from \(source.rawValue) to \(target.rawValue)"
        isDraft = target == .prod
        var lines = ["# \(title)", "", "| service | image |", "|---|---|"]
        lines += train.cars.map { "| \($0.service) | `\($0.image.name)@sha256:\($0.image.sha256)` |" }
        lines += ["", "Plan `\(planSHA256)`. What was checked:", ""]
        lines += checks.map { "- \($0)" }
        lines += ["", "Rolled back by rollback.patch (label `\(Self.revertLabel)`)"]
        lines[lines.count - 1] += rollbackTo.map { ", which brings back \($0)." } ?? "."
        body = lines.joined(separator: "\n") + "\n"
    }

    /// By which pull requests of the fast track are told.
    package static let revertLabel = "rollback"

    package func write(to folder: String) throws(GateError) {
        try GateFiles.makeFolder(folder)
        try GateFiles.replace("\(folder)/promotion.patch", with: patch.utf8)
        try GateFiles.replace("\(folder)/pull-request.md", with: body.utf8)
        try GateFiles.replace("\(folder)/draft", with: "\(isDraft)\n".utf8)
        try GateFiles.replace("\(folder)/rollback.patch", with: revertPatch.utf8)
        try GateFiles.replace("\(folder)/rollback-pull-request.md", with: revertBody.utf8)
        try GateFiles.replace("\(folder)/rollback-labels", with: "\(Self.revertLabel)\n".utf8)
    }

    /// Chart revisions and pinned images move; nothing else does.
    private static func changed(_ lines: [String], _ train: ReleaseTrain) -> [String] {
        var repository: Substring?
        return lines.map { line in
            // The chart's values: a repository, and its digest in the same line or the next.
            let own = line.firstMatch(of: /(?:^|[\s{,])repository: *"?([^\s,"'}]+)/)?.1
            defer { repository = own }
            let image = train.cars.map(\.image).first { image in
                guard let name = own ?? repository else { return false }
                return image.name == name || image.name.hasSuffix("/\(name)")
            }
            guard let image, let digest = line.firstMatch(of: /(?:^|[\s{,])digest: *"?sha256:([0-9a-f]{64})/)?.1 else {
                return changed(line, train)
            }
            return line[..<digest.startIndex] + image.sha256 + line[digest.endIndex...]
        }
    }

    private static func changed(_ line: String, _ train: ReleaseTrain) -> String {
        let indent = String(line.prefix { $0 == " " || $0 == "-" })
        let bare = line.dropFirst(indent.count)
        if bare.hasPrefix("targetRevision:") { return "\(indent)targetRevision: \(train.version)" }
        for car in train.cars {
            guard let place = line.firstRange(of: "\(car.image.name)@sha256:") else { continue }
            let tail = line[place.upperBound...].drop { $0.isHexDigit }
            return line[..<place.upperBound] + car.image.sha256 + tail
        }
        return line
    }

    /// A unified diff: lines only change in place, so that one hunk per changed line with three of context suffices;
    /// hunks that touch are joined.
    static func patch(_ file: String, _ old: [String], _ new: [String]) -> String {
        // A text that ends with a newline has no line after it; of one that does not, the patch says so.
        let isEnded = old.last == ""
        let count = isEnded ? old.count - 1 : old.count
        func line(_ sign: String, _ lines: [String], _ index: Int) -> String {
            let end = index == count - 1 && !isEnded ? "\n\\ No newline at end of file\n" : "\n"
            return sign + lines[index] + end
        }
        let changes = (0..<count).filter { old[$0] != new[$0] }
        var hunks: [ClosedRange<Int>] = []
        for change in changes {
            let range = max(0, change - 3)...min(count - 1, change + 3)
            if let last = hunks.last, last.upperBound + 1 >= range.lowerBound {
                hunks[hunks.count - 1] = last.lowerBound...range.upperBound
            } else {
                hunks.append(range)
            }
        }
        var text = "--- a/\(file)\n+++ b/\(file)\n"
        for hunk in hunks {
            text += "@@ -\(hunk.lowerBound + 1),\(hunk.count) +\(hunk.lowerBound + 1),\(hunk.count) @@\n"
            var index = hunk.lowerBound
            while index <= hunk.upperBound {
                let run = (index...hunk.upperBound).prefix { old[$0] != new[$0] }
                if run.isEmpty {
                    text += line(" ", old, index)
                    index += 1
                } else {
                    for place in run { text += line("-", old, place) }
                    for place in run { text += line("+", new, place) }
                    index += run.count
                }
            }
        }
        return text
    }
}
