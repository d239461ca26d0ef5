import Bootstrap
import Foundation
import Logging
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

/// Every command of docs/releasing.md, one after the other as it stands there, in one folder. Programs that are not
/// ours (kubectl, helm) and the embedded stack are stand-ins; the canaries were walked before, in virtual time.
@Suite(.timeLimit(.minutes(10))) struct `The commands of docs/releasing.md` {
    private static let version = "1.2.0-rc.1"

    /// What a block's lines hold, continued lines joined.
    private static func commands() throws -> [String] {
        let page = try String(
            contentsOf: PreflightStores.root.appending(path: "docs/releasing.md"), encoding: .utf8)
        return page.matches(of: /```bash\n([\s\S]*?)```/).flatMap { block -> [String] in
            var commands: [String] = []
            var open = ""
            for line in block.1.split(separator: "\n") {
                open += open.isEmpty ? String(line) : "\n" + line
                // A quotation that goes on over lines, such as a program for python3.
                guard !line.hasSuffix("\\"), open.count(where: { $0 == "'" }).isMultiple(of: 2) else { continue }
                commands.append(open)
                open = ""
            }
            return commands
        }
    }

    /// The folder that the page's reader has: chart, keys, manifests, evidence of the last hours, and programs.
    private static func folder() async throws -> (folder: ReleaseFolder, pages: MetricsPages) {
        let folder = try ReleaseFolder()
        let (path, root) = (folder.path, PreflightStores.root.path)
        let pages = try await MetricsPages.started()
        try pages.show("http_requests_total{status=\"200\"} 500\n", at: "metrics")
        let manager = FileManager.default
        for name in ["release", "release.pub"] { try manager.removeItem(atPath: "\(path)/\(name)") }
        for name in [
            "keys", "certs", "k8s/charts/golden", "environments/prod", "bin", "scripts", "release", "approvals",
        ] {
            try manager.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
        }
        // The chart and its changelog, where this repository has them.
        for (file, place) in [("CHANGELOG.md", "CHANGELOG.md"), ("Chart.yaml", "k8s/charts/golden/Chart.yaml")] {
            #expect(manager.fileExists(atPath: "\(root)/\(place)"))
            try manager.moveItem(atPath: "\(path)/chart/\(file)", toPath: "\(path)/\(place)")
        }
        for name in ["lead", "release", "build"] { try ReleaseKey().write(to: "\(path)/keys/\(name)") }
        try folder.write("environments/prod/argocd-applications.yaml", "spec:\n  targetRevision: 1.1.0\n")
        try folder.write(
            "helm.json",
            """
            [{"revision":6,"updated":"2026-10-01T12:00:00Z","status":"deployed","chart":"golden-1.1.0",
              "app_version":"1.1.0","description":"Install complete"}]
            """)
        for name in ["stack-gate.yaml", "stack-release.yaml", "compatibility.yaml", "slo"] {
            try manager.copyItem(atPath: "\(root)/release/\(name)", toPath: "\(path)/release/\(name)")
        }
        try manager.createSymbolicLink(atPath: path + "/migrations", withDestinationPath: root + "/migrations")
        try folder.write("bin/helm", "#!/bin/sh\ncat '\(root)/k8s/tests/chart/golden/prod.yaml'\n", executable: true)
        try folder.write(
            "bin/kubectl",
            "#!/bin/sh\ncase $2 in nodes,*) cat '\(path)/bin/nodes.json';; *) cat '\(path)/pods.json';; esac\n",
            executable: true)
        try folder.write(
            "bin/nodes.json",
            """
            {"items":[{"kind":"Node","metadata":{"name":"a"},
              "status":{"allocatable":{"cpu":"64","memory":"256Gi","pods":"110"}}},
              {"kind":"Pod","metadata":{"name":"b"},"spec":{"nodeName":"a"}}]}
            """)
        try folder.write("scripts/run", "#!/bin/sh\n", executable: true)
        let host = pages.url.dropFirst("http://".count)
        let stack = """
            {"stores":{"postgres":"postgresql://golden:x@127.0.0.1:1/golden","nats":"nats://golden:x@127.0.0.1:1",
             "redis":"redis://:x@127.0.0.1:1/0"},"processes":[{"name":"orchestrator-1","address":"\(host)"}]}
            """
        try folder.write("bin/golden", "#!/bin/sh\ncat <<'END'\n\(stack)\nEND\n", executable: true)
        return (folder, pages)
    }

    /// The rules, with the keys that the page makes, and what is released.
    private static func writeRelease(_ folder: ReleaseFolder) async throws {
        let path = folder.path
        let keys = [("lead", "team_lead"), ("sre", "sre"), ("release", "operations")].map { name, role in
            "  - {file: keys/\(name).pub, role: \(role), signer: \(name)}"
        }
        let settings = try folder.read("gate.yaml").replacing("build.pub", with: "keys/build.pub")
            .split(separator: "keys:\n")[0]
        let uninstall = "  uninstall: [\(path)/kubectl, uninstall, \"{release}\"]\n"
        try folder.write("gate.yaml", settings + uninstall + "keys:\n" + keys.joined(separator: "\n") + "\n")
        let git = """
            git init -q . && git -c user.name=T -c user.email=t@example.com commit -q --allow-empty -m one \
            && git -c user.name=T -c user.email=t@example.com tag -a v\(version) -m it && git rev-parse HEAD
            """
        let made = try await blocking { try Command.run("bash", ["-c", git], folder: path) }
        let commit = made.output.split(separator: "\n").last.map(String.init) ?? ""
        let more = "preconditions: [preconditions.yaml]"
        try folder.write("preconditions.yaml", "")
        try folder.writeRelease(version, commit: commit, isAttested: false)
        try folder.keepFirstService()
        let artifacts = try folder.release.train.artifacts
        let now = Int(Date().timeIntervalSince1970)
        let records = Precondition.Kind.allCases.map { kind in
            let digests = artifacts.map { "{name: \"\($0.name)\", sha256: \"\($0.sha256)\"}" }
            return """
                {kind: \(kind.rawValue), result: passed, atSeconds: \(now - 600), summary: done,
                 digests: [\(digests.joined(separator: ", "))], evidenceSHA256: \(artifacts[0].sha256)}
                """
        }
        try folder.write("preconditions.yaml", records.joined(separator: "\n---\n"))
        try folder.writeRelease(version, commit: commit, isAttested: false, more: more)
        try folder.keepFirstService()
        let pods = artifacts.dropFirst().map { image in
            """
            {"metadata":{"labels":{"app.kubernetes.io/component":"\(image.name.split(separator: "/").last ?? "")"}},
             "status":{"containerStatuses":[{"imageID":"\(image.name)@sha256:\(image.sha256)"}]}}
            """
        }
        try folder.write("pods.json", "{\"items\":[\(pods.joined(separator: ","))]}")
    }

    /// Walks a canary that began so many hours ago.
    private static func walk(_ folder: ReleaseFolder, _ environment: String, hoursAgo: Double) async throws {
        let minute = (Date().timeIntervalSince1970 / 60).rounded(.down) * 60
        let time = VirtualTime(Date(timeIntervalSince1970: minute - hoursAgo * 3600))
        let release = try folder.release
        let code = try await GateSession.with(
            file: folder.path + "/gate.yaml", settings: ServiceConfiguration(environment: [:]),
            logger: PreflightStores.logger, clock: time.clock, console: .silent
        ) { try await $0.canary(release, environment: environment, isArmed: true) }
        #expect(code == 0)
    }

    /// What a command ends with when not with 0: there are no stores to ask here, and one look at a new process is too
    /// little to go on.
    private static func expected(_ command: String) -> Int32 {
        if command.contains("release-gate preflight") { return 10 }
        return command.contains("xargs release-gate evaluate") ? 123 : 0
    }

    @Test func `run as they stand there`() async throws {
        let (folder, pages) = try await Self.folder()
        defer { withExtendedLifetime(pages) {} }
        try folder.writeLiveEvidence(endingAt: Date(), badCanary: nil, of: ["ledger"])
        let gate = URL(filePath: try LineProcess.built("release-gate")).deletingLastPathComponent().path
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let environment = ["PATH": "\(folder.path)/bin:\(gate):\(path)", "GOLDEN_GATE_ACTOR": "test"]
        let commands = try Self.commands()
        var hoursAgo = ["dev": 8.5, "staging": 6.5, "prod": 3.5]
        for command in commands {
            if let walk = command.firstMatch(of: /release-gate canary --env (\w+)/) {
                let name = String(walk.1)
                try await Self.walk(folder, name, hoursAgo: try #require(hoursAgo.removeValue(forKey: name)))
            }
            let outcome = try await blocking {
                try Command.run(
                    "bash", ["-o", "pipefail", "-c", command], environment: environment, folder: folder.path)
            }
            #expect(outcome.status == Self.expected(command), "\(command)\n\(outcome.output)")
            // What the page's reader does then: commit, tag, describe the release.
            if command.hasPrefix("release-gate cut") { try await Self.writeRelease(folder) }
        }
        #expect(hoursAgo.isEmpty && commands.count > 25)
        for verb in [
            "slo", "keygen", "cut", "canary", "certificate", "promote", "approve", "reverify", "rollback",
            "uninstall", "history", "verify", "replay", "evaluate", "preflight", "drift", "attest",
        ] { #expect(commands.contains { $0.contains("release-gate \(verb)") }, "\(verb)") }
        let text = try folder.read("certs/prod/certificate.txt")
        #expect(text.contains(Self.version))
    }
}
