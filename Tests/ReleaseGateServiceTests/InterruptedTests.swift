import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

/// The gate is killed by the very command that it runs: between running and recording.
@Suite(.timeLimit(.minutes(10))) struct `A command that outlives its gate` {
    enum Death: String, CaseIterable, Sendable { case afterTheWork, beforeTheWork }

    private static let order = Array(ReleaseFolder.services.reversed())

    private struct Gate {
        let folder: ReleaseFolder

        /// - Parameter statusExit: what the adapter's status ends with; nil asks what was done, absent has none.
        init(_ death: Death, status: String?) throws {
            folder = try ReleaseFolder()
            let path = folder.path
            let work = "echo \"$2\" >> '\(path)/done'"
            let die =
                "[ \"$2\" != billing ] || [ -e '\(path)/killed' ] || { touch '\(path)/killed'; kill -9 $PPID; exit; }"
            let lines = death == .afterTheWork ? [work, die] : [die, work]
            try folder.write("worker", "#!/bin/sh\n" + lines.joined(separator: "\n") + "\n", executable: true)
            var settings = try folder.read("gate.yaml").replacing("kubectl, rollback,", with: "worker, rollback,")
            if let status {
                try folder.write("status", "#!/bin/sh\n\(status)\n", executable: true)
                settings = settings.replacing(
                    "adapters:\n", with: "adapters:\n  status: [\(path)/status, \"{action}\", \"{service}\"]\n")
            }
            try folder.write("gate.yaml", settings)
            try folder.writeRelease("1.2.0-rc.1")
        }

        func rollback() async throws -> Command.Outcome {
            let path = folder.path
            return try await blocking {
                try Command.run(
                    try LineProcess.built("release-gate"),
                    ["rollback", "--env", "dev", "--reason", "it is bad", "--carry-out"], folder: path)
            }
        }

        var done: [String] {
            get throws { try folder.read("done").split(separator: "\n").map(String.init) }
        }

        func kinds() async throws -> [LineageEntry.Kind] {
            try await folder.gate { try await $0.book.entries().map(\.event.kind) }
        }
    }

    @Test(arguments: Death.allCases)
    func `is not run again when its status says that it worked`(death: Death) async throws {
        let gate = try Gate(death, status: "grep -qx \"$2\" \"$(dirname \"$0\")/done\"")
        #expect(try await gate.rollback().status == SIGKILL)
        #expect(try await gate.kinds() == [.intent])
        #expect(try gate.done == Array(Self.order.prefix(death == .afterTheWork ? 3 : 2)))
        let again = try await gate.rollback()
        #expect(again.status == 0, "\(again.output)")
        #expect(try gate.done == Self.order)
        #expect(again.output.contains("done already: \(gate.folder.path)/worker rollback front"), "\(again.output)")
        #expect(try await gate.kinds() == [.intent, .rollback])
    }

    @Test func `is run again, and says so, when nothing can tell`() async throws {
        let gate = try Gate(.afterTheWork, status: nil)
        #expect(try await gate.rollback().status == SIGKILL)
        let again = try await gate.rollback()
        #expect(again.status == 0 && again.output.contains("no status command says how far it got"), "\(again.output)")
        #expect(try gate.done == Array(Self.order.prefix(3)) + Self.order)
    }

    @Test func `stops the gate when its status does not know either`() async throws {
        let gate = try Gate(.afterTheWork, status: "echo the cluster is away; exit 7")
        #expect(try await gate.rollback().status == SIGKILL)
        let again = try await gate.rollback()
        #expect(again.status == 1 && again.output.contains("nobody knows what was done"), "\(again.output)")
        #expect(again.output.contains("the cluster is away"))
        #expect(try gate.done == Array(Self.order.prefix(3)))
        #expect(try await gate.kinds() == [.intent])
    }

    /// A cluster's kubectl whose deployments run the release's image until they are taken back.
    ///
    /// - Parameters:
    ///   - answer: what it does first when it is asked what runs.
    ///   - check: what it does first when it is to look whether that is ready.
    private static func cluster(_ folder: ReleaseFolder, answer: String, check: String = "") throws {
        let path = folder.path
        let digests = try folder.release.train.cars.map { "\($0.service)) new=\($0.image.sha256);;" }
        try FileManager.default.createDirectory(atPath: path + "/bin", withIntermediateDirectories: true)
        try folder.write(
            "bin/kubectl",
            """
            #!/bin/sh
            case $2 in undo) service=${3#deployment/golden-};; *) service=${2#deployment/golden-};; esac
            case $service in \(digests.joined(separator: " ")) esac
            case $1 in
            get) \(answer)
                if grep -qx "$service" '\(path)/done'; then new=\(String(repeating: "0", count: 64)); fi
                echo '{"kind":"Deployment","spec":{"template":{"spec":{"containers":[{"image":"registry/x@sha256:'$new'"}]}}}}'
                echo 'Warning: old API' >&2;;
            rollout)
                [ "$2" = undo ] || { \(check) exit 0; }
                [ "$service" = billing ] && [ ! -e '\(path)/killed' ] && touch '\(path)/killed' && kill -9 $PPID && exit
                echo "$service" >> '\(path)/done';;
            esac

            """, executable: true)
        let settings = try folder.read("gate.yaml")
        let start = try #require(settings.firstRange(of: "adapters:\n"))
        let end = try #require(settings.firstRange(of: "keys:\n"))
        try folder.write(
            "gate.yaml", settings[..<start.upperBound] + "  preset: [kubectl]\n" + settings[end.lowerBound...])
    }

    private static func rollback(_ folder: ReleaseFolder) async throws -> Command.Outcome {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return try await blocking {
            try Command.run(
                try LineProcess.built("release-gate"),
                ["rollback", "--env", "dev", "--reason", "it is bad", "--carry-out"],
                environment: ["PATH": "\(folder.path)/bin:\(path)"], folder: folder.path)
        }
    }

    /// `undo` twice would bring the bad version back.
    @Test func `of a preset is asked about by the preset's own tool`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try Self.cluster(folder, answer: "")
        #expect(try await Self.rollback(folder).status == SIGKILL)
        let again = try await Self.rollback(folder)
        #expect(again.status == 0, "\(again.output)")
        #expect(try folder.read("done").split(separator: "\n").map(String.init) == Self.order)
        #expect(again.output.contains("done already: kubectl rollout undo deployment/golden-front"), "\(again.output)")
        #expect(again.output.contains("What runs is ready and works."), "\(again.output)")
        let kinds = try await folder.gate { try await $0.book.entries().map(\.event.kind) }
        #expect(kinds == [.intent, .rollback, .verification])
    }

    @Test func `of a preset whose tool is away stops the gate`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try Self.cluster(folder, answer: "echo no route to host >&2; exit 1;")
        #expect(try await Self.rollback(folder).status == SIGKILL)
        let again = try await Self.rollback(folder)
        #expect(again.status == 1 && again.output.contains("no route to host"), "\(again.output)")
        #expect(again.output.contains("nobody knows what was done"), "\(again.output)")
        #expect(try folder.read("done").split(separator: "\n").map(String.init) == ["front", "shipping"])
    }

    /// What is recorded and was found not to be in order is rolled back by the same command again.
    @Test func `of a rollback that has ended is asked about before it is run again`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try folder.write("killed", "")
        let looked = folder.path + "/looked"
        try Self.cluster(folder, answer: "", check: "[ -e '\(looked)' ] || { touch '\(looked)'; exit 1; };")
        let unready = try await Self.rollback(folder)
        #expect(unready.status == 1, "\(unready.output)")
        let again = try await Self.rollback(folder)
        #expect(again.status == 0 && again.output.contains("done already: kubectl rollout undo"), "\(again.output)")
        #expect(try folder.read("done").split(separator: "\n").map(String.init) == Self.order)
        let kinds = try await folder.gate { try await $0.book.entries().map(\.event.kind) }
        #expect(kinds == [.intent, .rollback, .verification, .intent, .rollback, .verification])
    }

    /// The walk's gate was killed after its last `undo`, and a person goes on by hand.
    @Test func `of a walk that went back is asked about by a rollback, too`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1")
        try folder.write("killed", "")
        try Self.cluster(folder, answer: "")
        try folder.write("done", Self.order.joined(separator: "\n") + "\n")
        let train = try folder.release.train
        let begun = LineageEntry.Event(
            atSeconds: 0, environment: .dev, version: train.version, digests: train.digests, kind: .intent,
            actor: "ann", reason: "abort to 0%")
        try await folder.gate { _ = try await $0.book.record(begun) }
        let outcome = try await Self.rollback(folder)
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(try folder.read("done").split(separator: "\n").map(String.init) == Self.order)
    }

    @Test(arguments: [true, false])
    func `what has ended is run again only where its status says that it is not done`(isDone: Bool) async throws {
        let gate = try Gate(.afterTheWork, status: isDone ? "exit 0" : "exit 1")
        try gate.folder.write("killed", "")
        #expect(try await gate.rollback().status == 0)
        #expect(try await gate.rollback().status == 0)
        #expect(try gate.done == Self.order + (isDone ? [] : Self.order))
        #expect(try await gate.kinds() == [.intent, .rollback, .intent, .rollback])
    }
}
