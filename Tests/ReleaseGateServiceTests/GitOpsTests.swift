import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

/// What a promotion looks like in Git, held to Git itself.
@Suite(.timeLimit(.minutes(10))) struct `Files for Git` {
    private static func digest(_ text: String) -> String { Digest(of: Array(text.utf8)).hexadecimal }

    private static func train(
        _ version: String, of names: [String] = ["ledger", "orders"]
    ) throws -> ReleaseTrain {
        let chart = try #require(ArtifactDigest(name: "chart", sha256: digest("chart \(version)")))
        let manifests = try #require(ArtifactDigest(name: "manifests", sha256: digest("manifests \(version)")))
        let cars = try names.map { name in
            ReleaseTrain.Car(
                service: name,
                image: try #require(
                    ArtifactDigest(name: "registry/\(name)", sha256: digest("\(name) \(version)"))))
        }
        return ReleaseTrain(
            version: try #require(Version(version)), chart: chart, manifests: manifests, cars: cars)
    }

    @Test func `a chart says what breaks, ours too`() throws {
        let place = PreflightStores.root.appending(path: "k8s/charts/golden/Chart.yaml")
        let ours = try String(contentsOf: place, encoding: .utf8)
        let annotation = #"golden.dev/breaking-changes: "none""#
        #expect(ours.contains(annotation))
        #expect(try ChartFile(text: ours, from: place.path).breaking == nil)
        let breaks = ours.replacing(annotation, with: #"golden.dev/breaking-changes: "the API""#)
        #expect(try ChartFile(text: breaks, from: place.path).breaking == "the API")
        #expect(try ChartFile(text: ours.replacing(annotation, with: ""), from: place.path).breaking == nil)
    }

    /// Changes far apart, side by side, at the first and at the last line.
    private static func text(_ version: String) throws -> String {
        let images = try train(version).cars.map { "      - image: \($0.image.name)@sha256:\($0.image.sha256)" }
        let filler = (1...20).map { "# line \($0)" }.joined(separator: "\n")
        return """
            targetRevision: \(version)
            \(filler)
            \(images.joined(separator: "\n"))
            \(filler)
            # not ours: other/ledger@sha256:\(digest("other"))
            - targetRevision: \(version)

            """
    }

    private static func files(_ text: String, to target: DeployEnvironment = .prod) throws -> GitOpsFiles {
        try GitOpsFiles(
            train: try train("1.2.0"), from: .staging, to: target, file: "env/apps.yaml", text: text,
            checks: ["path: staging to prod", "seal: it is sealed"], planSHA256: digest("plan"),
            rollbackTo: Version("1.1.0"))
    }

    @Test func `git applies the patch, and takes it back with the other one`() throws {
        let folder = try temporaryFolder("gitops").path
        try FileManager.default.createDirectory(atPath: folder + "/env", withIntermediateDirectories: true)
        let file = folder + "/env/apps.yaml"
        let (old, new) = (try Self.text("1.1.0"), try Self.text("1.2.0"))
        for (before, after) in [(old, new), (String(old.dropLast()), String(new.dropLast()))] {
            try Data(before.utf8).write(to: URL(filePath: file))
            try Self.files(before).write(to: folder + "/out")
            func apply(_ patch: String) throws {
                #expect(try Command.run("git", ["init", "-q", folder]).status == 0)
                let outcome = try Command.run("git", ["apply", "--verbose", "out/\(patch)"], folder: folder)
                #expect(outcome.status == 0, "\(outcome.output)")
            }
            try apply("promotion.patch")
            #expect(try String(contentsOfFile: file, encoding: .utf8) == after)
            try apply("rollback.patch")
            #expect(try String(contentsOfFile: file, encoding: .utf8) == before)
        }
    }

    @Test func `the environments' own files are patched`() throws {
        for environment in DeployEnvironment.allCases {
            let name = "k8s/environments/\(environment.rawValue)/argocd-applications.yaml"
            let text = try String(
                contentsOf: PreflightStores.root.appending(path: name), encoding: .utf8)
            let names = text.matches(of: /\{repository: ([a-z-]+), digest: "sha256:0{64}"\}/).map { String($0.1) }
            #expect(names.contains("orchestrator") && names.contains("database-tools"), "\(environment)")
            func patch(_ names: [String]) throws -> String {
                try GitOpsFiles(
                    train: try Self.train("1.2.0", of: names), from: .staging, to: environment, file: name, text: text,
                    checks: [], planSHA256: Self.digest("plan"), rollbackTo: nil
                ).patch
            }
            let added = try patch(names).split(separator: "\n").filter { $0.hasPrefix("+ ") }.map(String.init)
            #expect(added.contains { $0.hasSuffix("targetRevision: 1.2.0") }, "\(added)")
            for service in names {
                let line = "\(service): {repository: \(service), digest: \"sha256:\(Self.digest("\(service) 1.2.0"))\"}"
                #expect(added.contains { $0.hasSuffix(line) }, "\(line)\n\(added)")
            }
            #expect(added.count == names.count + 1)
            let error = #expect(throws: GateError.self) { try patch(names + ["stranger"]) }
            #expect(error?.message.contains("names no image of stranger") == true)
        }
    }

    @Test func `a digest in the line after its repository moves, and no other`() throws {
        let zeros = String(repeating: "0", count: 64)
        func text(_ digest: String) -> String {
            """
            images:
              ledger:
                repository: registry/ledger
                digest: sha256:\(digest)
              other:
                repository: other
                digest: "sha256:\(zeros)"
              orders: {digest: "sha256:\(zeros)"}

            """
        }
        let train = try Self.train("1.2.0", of: ["ledger"])
        let files = try GitOpsFiles(
            train: train, from: .dev, to: .staging, file: "values.yaml", text: text(zeros), checks: [],
            planSHA256: Self.digest("plan"), rollbackTo: nil)
        let lines = files.patch.split(separator: "\n").filter { $0.hasPrefix("+ ") || $0.hasPrefix("- ") }
        #expect(lines == ["-    digest: sha256:\(zeros)", "+    digest: sha256:\(Self.digest("ledger 1.2.0"))"])
    }

    @Test func `people are told what was checked, and what brings it back`() throws {
        let files = try Self.files(try Self.text("1.1.0"))
        #expect(files.title == "Promote 1.2.0 from staging to prod" && files.isDraft)
        for line in [
            "| ledger | `registry/ledger@sha256:\(Self.digest("ledger 1.2.0"))` |", "- seal: it is sealed",
            "Plan `\(Self.digest("plan"))`", "rollback.patch (label `rollback`), which brings back 1.1.0.",
        ] { #expect(files.body.contains(line), "\(line)\n\(files.body)") }
        #expect(files.revertBody.contains("Roll back 1.2.0 in prod") && files.revertBody.contains("1.1.0"))
        #expect(try !Self.files(try Self.text("1.1.0"), to: .staging).isDraft)
        let folder = try temporaryFolder("gitops").path
        try files.write(to: folder)
        #expect(try String(contentsOfFile: folder + "/draft", encoding: .utf8) == "true\n")
        #expect(try String(contentsOfFile: folder + "/rollback-labels", encoding: .utf8) == "rollback\n")
    }

    @Test(arguments: ["", "image: registry/stranger@sha256:00\n"])
    func `a file that the release does not change is refused`(text: String) {
        let error = #expect(throws: GateError.self) { try Self.files(text) }
        #expect(error?.code == .invalid)
    }
}

/// A release's tag, as Git has it.
@Suite(.timeLimit(.minutes(10))) struct `The tag` {
    private func git(_ folder: String, _ words: String...) throws -> String {
        let who = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-C", folder]
        let outcome = try Command.run("git", who + words)
        guard outcome.status == 0 else { throw TestFailure(description: outcome.output) }
        return outcome.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    @Test func `must be annotated and point at what is released`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        _ = try git(path, "init", "-q")
        _ = try git(path, "commit", "-q", "--allow-empty", "-m", "one")
        let first = try git(path, "rev-parse", "HEAD")
        _ = try git(path, "commit", "-q", "--allow-empty", "-m", "two")
        let second = try git(path, "rev-parse", "HEAD")
        try folder.writeRelease("1.2.0-rc.1", commit: second)
        let release = try folder.release
        func refusal() async throws -> String {
            let error = await #expect(throws: GateError.self) {
                try await folder.gate { try await $0.verifyTag(release, repository: path) }
            }
            return error?.message ?? ""
        }
        #expect(try await refusal().contains("there is no tag v1.2.0-rc.1"))
        _ = try git(path, "tag", "v1.2.0-rc.1", second)
        #expect(try await refusal().contains("is not annotated"))
        _ = try git(path, "tag", "-f", "-a", "v1.2.0-rc.1", "-m", "it", first)
        #expect(try await refusal().contains("points at \(first), released is \(second)"))
        _ = try git(path, "tag", "-f", "-a", "v1.2.0-rc.1", "-m", "it", second)
        try await folder.gate { try await $0.verifyTag(release, repository: path) }
        try folder.writeRelease("1.2.0-rc.1", commit: nil)
        let nameless = try folder.release
        await #expect(throws: GateError.self) {
            try await folder.gate { try await $0.verifyTag(nameless, repository: path) }
        }
    }
}
