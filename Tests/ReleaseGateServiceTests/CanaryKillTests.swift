import Contracts
import Foundation
import TestSupport
import Testing

/// The executable is killed whenever it is seen to have written something, and by each command that it runs; it goes on
/// when it is started again.
@Suite(.timeLimit(.minutes(10))) struct `A canary that is killed` {
    @Test func `ends as one that was not`() async throws {
        let folder = try ReleaseFolder()
        let pages = try await MetricsPages.started()
        try folder.writeRelease("1.2.0-rc.1")
        let targets = ["canary", "stable"].map { "\"service=ledger,track=\($0)@\(pages.url)/\($0)\"" }
        try folder.write(
            "gate.yaml",
            """
            objectives: [slo/ledger.yaml]
            source: {scrape: [\(targets.joined(separator: ", "))]}
            lookSeconds: 1
            stepSeconds: 3
            extensionsMax: 60
            adapters:
              advance: [kubectl, advance, "{service}", "{weight}"]
              promote: [kubectl, promote, "{service}"]
            """)
        try Self.writeDeadlyCommands(folder)
        try folder.write(
            "release.yaml",
            try folder.read("release.yaml").split(separator: "\n").filter { line in
                !["orders", "billing", "shipping", "front"].contains { line.contains("name: \($0)") }
            }.joined(separator: "\n"))
        let traffic = Task {
            for round in 1...100_000 {
                for page in ["canary", "stable"] {
                    try pages.show("http_requests_total{status=\"200\"} \(round * 500)\n", at: page)
                }
                try await Task.sleep(for: .milliseconds(200))
            }
        }
        defer { traffic.cancel() }
        var kills = 0
        while try await blocking({ try Self.walk(folder, until: Self.entries(folder) + 1) }) == nil {
            kills += 1
            try #require(kills < 30, "It never ends.")
        }
        let kinds = try folder.read("lineage/lineage.jsonl").split(separator: "\n").map { line in
            let event = try JSON(parsing: line.utf8).fields?[1].value.fields?.first { $0.name == "event" }?.value
            return event?.fields?.first { $0.name == "kind" }?.value.string ?? ""
        }
        #expect(
            kinds == [
                "install", "decision", "intent", "step", "decision", "intent", "step", "decision", "intent", "seal",
            ])
        // Each command killed it once; what was seen from here depends on how often one looks.
        let deaths = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasPrefix("killed-") }
        #expect(deaths.sorted() == ["killed-advance-100", "killed-advance-50", "killed-promote-"] && kills >= 3)
        // What was carried out is at least what an undisturbed walk carries out, in its order.
        var seen: [String] = []
        for command in try folder.commands() where seen.last != command { seen.append(command) }
        #expect(seen == ["advance ledger 50", "advance ledger 100", "promote ledger"])
        let verified = try await blocking { try Self.run(folder, ["verify", "--lineage"]) }
        #expect(verified.status == 0, "\(verified.output)")
        let replayed = try await blocking { try Self.run(folder, ["replay"]) }
        #expect(replayed.output.contains("3 of 3 decisions are the same"), "\(replayed.output)")
    }

    /// A `kubectl` that kills its gate the first time that it is asked for something: the first step's before it did
    /// anything, the others' when they are done.
    private static func writeDeadlyCommands(_ folder: ReleaseFolder) throws {
        try folder.write(
            "kubectl",
            """
            #!/bin/sh
            killed="\(folder.path)/killed-$1-$3"
            die() {
                touch "$killed"
                # Its gate may have died before, and then its parent is another.
                read -r name < /proc/$PPID/comm
                [ "$name" != release-gate ] || kill -9 $PPID
                exit
            }
            [ -e "$killed" ] || [ "$3" != 50 ] || die
            echo "$@" >> '\(folder.path)/commands'
            [ -e "$killed" ] || die

            """, executable: true)
    }

    private static func entries(_ folder: ReleaseFolder) throws -> Int {
        let file = folder.path + "/lineage/lineage.jsonl"
        guard FileManager.default.fileExists(atPath: file) else { return 0 }
        return try folder.read("lineage/lineage.jsonl").split(separator: "\n").count
    }

    private static func environment(_ folder: ReleaseFolder) -> [String: String] {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return ["PATH": "\(folder.path):\(path)", "GOLDEN_GATE_ACTOR": "test"]
    }

    private static func run(_ folder: ReleaseFolder, _ arguments: [String]) throws -> Command.Outcome {
        try Command.run(
            try LineProcess.built("release-gate"), arguments, environment: environment(folder), folder: folder.path)
    }

    /// Starts the walk and kills it as soon as the lineage has so many entries.
    ///
    /// - Returns: its exit code, unless it was killed.
    private static func walk(_ folder: ReleaseFolder, until count: Int) throws -> Int32? {
        let process = Process()
        process.executableURL = URL(filePath: try LineProcess.built("release-gate"))
        process.arguments = ["canary", "--env", "dev", "--carry-out"]
        process.environment = ProcessInfo.processInfo.environment.merging(environment(folder)) { $1 }
        process.currentDirectoryURL = URL(filePath: folder.path)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try Spawner.shared.start(process)
        let end = ContinuousClock.now + .seconds(120)
        while process.isRunning, try entries(folder) < count, ContinuousClock.now < end { usleep(5_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        Spawner.shared.wait(for: process)
        return process.terminationReason == .uncaughtSignal ? nil : process.terminationStatus
    }
}
