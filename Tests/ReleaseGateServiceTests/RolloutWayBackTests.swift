import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

/// The preset argo-rollouts goes back to the version that is named, whatever was tried and rejected meanwhile.
@Suite(.timeLimit(.minutes(10))) struct `A Rollout's way back` {
    private struct Revision: Sendable {
        let number: Int
        let version: String
        var owner = "golden-ledger"

        var hash: String { "hash\(number)" }

        var json: String {
            """
            {"kind":"ReplicaSet","metadata":{"name":"\(owner)-\(hash)",
              "annotations":{"rollout.argoproj.io/revision":"\(number)"},
              "labels":{"rollouts-pod-template-hash":"\(hash)","app.kubernetes.io/version":"\(version)"},
              "ownerReferences":[{"kind":"Rollout","name":"\(owner)"}]}}
            """
        }
    }

    /// 1.1.1 was a canary that the gate rejected; of another Rollout there is a newer revision of 1.1.0.
    private static let revisions = [
        Revision(number: 1, version: "1.1.0"), Revision(number: 2, version: "1.1.1"),
        Revision(number: 3, version: "1.2.0-rc.1"), Revision(number: 9, version: "1.1.0", owner: "golden-orders"),
    ]

    private static func cluster(
        stable: String, current: String, _ revisions: [Revision] = revisions, isRouted: Bool = true,
        isPromoted: Bool = false
    ) -> String {
        let weights = isRouted ? #""weights":{"canary":{"weight":25},"stable":{"weight":75}}"# : ""
        let promoted = isPromoted ? #","promoteFull":true"# : ""
        let rollout = """
            {"kind":"Rollout","metadata":{"name":"golden-ledger"},
             "status":{"stableRS":"\(stable)","currentPodHash":"\(current)","canary":{\(weights)}\(promoted)}}
            """
        let items = [rollout] + revisions.map(\.json)
        return "{\"items\":[\(items.joined(separator: ","))]}"
    }

    private static let undo = "kubectl argo rollouts undo golden-ledger -n golden"
    private static let values: [CommandTemplate.Place: String] = [
        .rollout: "golden-ledger", .namespace: "golden", .previousVersion: "1.1.0",
    ]

    private static func commands(
        _ json: String, _ values: [CommandTemplate.Place: String] = values
    ) throws -> [String] {
        let undo = try CommandTemplate(try #require(Adapter.presets["argo-rollouts"]?[.rollback]))
        return try RolloutWayBack.commands(undo, values, try JSON(parsing: json.utf8)).map { CommandTemplate.shown($0) }
    }

    /// From the revision that was asked for, until all traffic is on it.
    private static func through(_ hash: String) -> [String] {
        [
            "kubectl argo rollouts promote golden-ledger -n golden --full",
            "kubectl wait --for=jsonpath=.status.stableRS=\(hash) rollout/golden-ledger -n golden --timeout=10m",
        ]
    }

    private static func seen(_ hash: String) -> String {
        "kubectl wait --for=jsonpath=.status.currentPodHash=\(hash) rollout/golden-ledger -n golden --timeout=2m"
    }

    struct Case: Sendable {
        let stable: String
        let current: String
        let commands: [String]
        var isRouted = true
        var isPromoted = false
    }

    private static let aborted = "kubectl argo rollouts abort golden-ledger -n golden"
    private static let unpromoted =
        "kubectl patch rollout/golden-ledger -n golden --subresource=status --type=merge "
        + #"'--patch={"status":{"promoteFull":false,"abort":true}}'"#
    private static let stopped =
        "kubectl wait --for=jsonpath=.status.abort=true rollout/golden-ledger -n golden --timeout=2m"
    private static let withoutWeight =
        "kubectl wait --for=jsonpath=.status.canary.weights.canary.weight=0 rollout/golden-ledger -n golden "
        + "--timeout=10m"

    @Test(arguments: [
        Case(
            stable: "hash3", current: "hash3",
            commands: [undo + " --to-revision=1", seen("hash1")] + through("hash1")),
        // Asked for already, by hand or before the gate died.
        Case(stable: "hash3", current: "hash1", commands: through("hash1")),
        Case(stable: "hash1", current: "hash1", commands: []),
        // The canary is taken back; undo would ask for the stable side's template with its label of a side.
        Case(stable: "hash1", current: "hash3", commands: [aborted, withoutWeight, stopped]),
        // Without traffic routing there is no such field.
        Case(stable: "hash1", current: "hash3", commands: [aborted, stopped], isRouted: false),
        // While it is promoted in full the controller takes every abort off again.
        Case(
            stable: "hash1", current: "hash3", commands: [unpromoted, withoutWeight, stopped], isPromoted: true),
        // The way back itself is.
        Case(stable: "hash3", current: "hash1", commands: through("hash1"), isPromoted: true),
    ])
    func `leads to the version before, and goes on where it is`(given: Case) throws {
        let json = Self.cluster(
            stable: given.stable, current: given.current, isRouted: given.isRouted, isPromoted: given.isPromoted)
        #expect(try Self.commands(json) == given.commands)
    }

    @Test func `takes the newest revision of that version`() throws {
        let all = Self.revisions + [Revision(number: 10, version: "1.1.0")]
        let commands = try Self.commands(Self.cluster(stable: "hash3", current: "hash3", all))
        #expect(commands.first == Self.undo + " --to-revision=10")
    }

    @Test func `leads nowhere when nothing says where to`() throws {
        let running = Self.cluster(stable: "hash3", current: "hash3")
        var (unknown, nameless) = (Self.values, Self.values)
        unknown[.previousVersion] = "1.0.0"
        nameless[.previousVersion] = nil
        let given = [
            (running, unknown, "keeps no revision of 1.0.0"), (running, nameless, "which version to go back to"),
            ("{\"items\":[]}", Self.values, "no Rollout golden-ledger"),
        ]
        for (json, values, words) in given {
            let error = #expect(throws: GateError.self) { try Self.commands(json, values) }
            #expect(error?.code == .adapterFailed && error?.message.contains(words) == true, "\(words)")
        }
    }

    /// A release whose ledger has a Rollout, and a cluster's kubectl and helm.
    private static func folder(previous: String, preset: String = "argo-rollouts") throws -> ReleaseFolder {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1", previous: previous, more: "previousRevision: \"6\"")
        let release = try folder.read("release.yaml")
        try folder.write("release.yaml", release.replacing("{name: ledger,", with: "{name: ledger, canary: true,"))
        let settings = try folder.read("gate.yaml")
        let start = try #require(settings.firstRange(of: "adapters:\n"))
        let end = try #require(settings.firstRange(of: "keys:\n"))
        try folder.write(
            "gate.yaml", settings[..<start.upperBound] + "  preset: [\(preset)]\n" + settings[end.lowerBound...])
        try folder.write("cluster.json", cluster(stable: "hash3", current: "hash3"))
        try FileManager.default.createDirectory(atPath: folder.path + "/bin", withIntermediateDirectories: true)
        try folder.write(
            "bin/kubectl",
            """
            #!/bin/sh
            case $1 in get) cat '\(folder.path)/cluster.json';; *) echo "kubectl $*" >> '\(folder.path)/commands';; esac

            """, executable: true)
        try folder.write(
            "bin/helm", "#!/bin/sh\necho \"helm $*\" >> '\(folder.path)/commands'\n", executable: true)
        return folder
    }

    private static func rollback(_ folder: ReleaseFolder, _ more: String...) async throws -> Command.Outcome {
        try await run(folder, ["rollback", "--env", "dev", "--reason", "it is bad"] + more)
    }

    private static func run(_ folder: ReleaseFolder, _ arguments: [String]) async throws -> Command.Outcome {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return try await blocking {
            try Command.run(
                try LineProcess.built("release-gate"), arguments,
                environment: ["PATH": "\(folder.path)/bin:\(path)"], folder: folder.path)
        }
    }

    @Test func `is shown without a cluster`() async throws {
        let folder = try Self.folder(previous: "1.1.0")
        let shown = try await Self.rollback(folder)
        #expect(shown.status == 0 && shown.output.contains("--to-revision=<that of 1.1.0>"), "\(shown.output)")
        #expect(try folder.commands().isEmpty)
    }

    @Test func `is carried out so by a rollback`() async throws {
        let folder = try Self.folder(previous: "1.1.0")
        let outcome = try await Self.rollback(folder, "--carry-out")
        #expect(outcome.status == 0, "\(outcome.output)")
        let all = [Self.undo + " --to-revision=1", Self.seen("hash1")] + Self.through("hash1")
        let place = "-n golden-architecture"
        let looked = "kubectl wait --for=condition=Available rollout/golden-ledger \(place) --timeout=10m"
        #expect(try folder.commands() == all.map { $0.replacing("-n golden", with: place) } + [looked])
    }

    /// The Rollout takes what Helm asks for as a canary, and what is ready is the bad version still.
    @Test func `is not called done where Helm went back, and a person is told the rest`() async throws {
        let folder = try Self.folder(previous: "1.1.0", preset: "helm")
        let outcome = try await Self.rollback(folder, "--carry-out")
        let promote = "kubectl argo rollouts promote golden-ledger -n golden-architecture --full"
        #expect(outcome.status == 0 && outcome.output.contains(promote), "\(outcome.output)")
        for words in ["ready and works", "is rolled back"] {
            #expect(!outcome.output.contains(words), "\(outcome.output)")
        }
        let commands = try folder.commands()
        let place = "-n golden-architecture"
        #expect(
            commands == [
                "helm rollback golden 6 \(place) --wait --timeout 5m", "helm test golden \(place) --timeout 10m",
            ])
        let entries = try await folder.gate { try await $0.book.entries() }
        let last = try #require(entries.last?.event)
        #expect(last.kind == .verification && last.decision == .hold)
        #expect(last.reason.contains("until promote --full of golden-ledger"), "\(last.reason)")
    }

    /// 6 is the revision of 1.1.0, which 1.1.1 has replaced since release.yaml was written.
    @Test func `is refused by the revision of another version, before anything is run`() async throws {
        let folder = try Self.folder(previous: "1.1.0", preset: "helm")
        let past: [(LineageEntry.Kind, String)] = [(.promote, "1.2.0-rc.1"), (.seal, "1.1.1")]
        let events = try past.enumerated().map { index, event in
            LineageEntry.Event(
                atSeconds: index, environment: .dev, version: try #require(Version(event.1)), digests: [],
                kind: event.0, actor: "ann", reason: "it is good")
        }
        try await folder.gate { for event in events { _ = try await $0.book.record(event) } }
        let canary = try await Self.run(folder, ["canary", "--env", "dev", "--carry-out"])
        let back = try await Self.rollback(folder, "--carry-out")
        for outcome in [canary, back] {
            let words = "release.yaml: previousRevision, that of 1.1.1"
            #expect(outcome.status == 2 && outcome.output.contains(words), "\(outcome.output)")
        }
        let count = try await folder.gate { try await $0.book.entries().count }
        #expect(count == events.count)
        #expect(try folder.commands().isEmpty)
    }

    @Test func `is refused to what was rolled back itself`() async throws {
        let folder = try Self.folder(previous: "1.1.1")
        let rejected = LineageEntry.Event(
            atSeconds: 0, environment: .dev, version: try #require(Version("1.1.1")), digests: [], kind: .rollback,
            actor: "ann", reason: "by decision")
        try await folder.gate { _ = try await $0.book.record(rejected) }
        let outcome = try await Self.rollback(folder, "--carry-out")
        let words = "1.1.1 was rolled back in dev itself: it is no way back."
        #expect(outcome.status == 2 && outcome.output.contains(words), "\(outcome.output)")
        #expect(try folder.commands().isEmpty)
    }
}
