import Bootstrap
import Contracts
import Foundation
import Logging
import ReleaseGateCore
import ReleaseGateService
import Synchronization
import TestSupport

/// Time that passes when somebody waits for it.
final class VirtualTime: Sendable {
    private let now: Mutex<Date>

    init(_ start: Date) { now = Mutex(start) }

    var clock: GateClock {
        GateClock {
            self.now.withLock { $0 }
        } sleep: { date in
            self.now.withLock { $0 = max($0, date) }
        }
    }

    func advance(by seconds: TimeInterval) { now.withLock { $0 += seconds } }
}

/// The files of a release of five services: rules, objectives, chart, keys, evidence, and a program that records what
/// it is asked to carry out.
final class ReleaseFolder: Sendable {
    /// Each depends on the one before it, and on what is written here.
    static let services = ["ledger", "orders", "billing", "shipping", "front"]
    static let start = Date(timeIntervalSince1970: 1_793_491_200)
    static let hours = 12

    let path: String
    let time = VirtualTime(start.addingTimeInterval(3600))

    init(lookSeconds: Int = 120) throws {
        path = try temporaryFolder("release").path
        try FileManager.default.createDirectory(atPath: path + "/slo", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: path + "/chart", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: path + "/approvals", withIntermediateDirectories: true)
        try write(
            "kubectl", "#!/bin/sh\necho \"$@\" >> '\(path)/commands'\n", executable: true)
        for service in Self.services { try write("slo/\(service).yaml", Self.objective(service)) }
        try write("chart/Chart.yaml", "# The chart.\nname: golden\nversion: 1.1.0\nappVersion: \"1.1.0\"\n")
        try write("chart/CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Invoices.\n")
        for (name, _) in Self.approvers { try ReleaseKey().write(to: "\(path)/\(name)") }
        for name in ["release", "build"] { try ReleaseKey().write(to: "\(path)/\(name)") }
        try write("compatibility.yaml", Self.compatibility)
        try write("gate.yaml", gate(lookSeconds: lookSeconds))
        try writeEvidence()
    }

    static let builder = "https://ci.example/golden"
    static let source = "https://git.example/golden"
    static let commit = "3d1f2c0b9a8e7d6c5b4a39281706f5e4d3c2b1a0"
    private static let compatibility = """
        versions:
          - {version: 1.1.0, schema: 17, messages: 1, runsBeside: []}
          - {version: 1.1.1, schema: 17, messages: 1, runsBeside: [1.1.0]}
          - {version: 1.2.0, schema: 18, messages: 1, runsBeside: [1.1.0, 1.1.1]}
        """

    static let approvers = [
        ("lead", "team_lead"), ("sre", "sre"), ("security", "security"), ("owner", "product_owner"),
    ]

    private func gate(lookSeconds: Int) -> String {
        let keys = (Self.approvers + [("release", "operations")]).map { name, role in
            "  - {file: \(name).pub, role: \(role), signer: \(name.capitalized)}"
        }
        return """
            objectives: [slo]
            source: {recorded: evidence.json}
            lookSeconds: \(lookSeconds)
            stepSeconds: 1200
            namespace: golden-architecture
            compatibility: compatibility.yaml
            supplyChain:
              signers: [build.pub]
              builders: [{file: build.pub, id: "\(Self.builder)"}]
              source: \(Self.source)
            adapters:
              advance: [\(path)/kubectl, advance, "{service}", "{weight}"]
              abort: [\(path)/kubectl, abort, "{service}"]
              promote: [\(path)/kubectl, promote, "{service}"]
              rollback: [\(path)/kubectl, rollback, "{service}", "{reason}"]
            keys:
            \(keys.joined(separator: "\n"))
            """
    }

    private static func objective(_ service: String) -> String {
        """
        apiVersion: openslo/v1
        kind: SLO
        metadata: {name: \(service)-errors, annotations: {gate/class: blocking, gate/compare: baseline}}
        spec:
          service: \(service)
          indicator:
            spec:
              ratioMetric:
                bad: {metricSource: {spec: {query: 'http_requests_total{service="\(service)",status=~"5.."}'}}}
                total: {metricSource: {spec: {query: 'http_requests_total{service="\(service)"}'}}}
          timeWindow: [{duration: 30d, isRolling: true}]
          objectives: [{target: 0.99}]
        """
    }

    func write(_ name: String, _ text: String, executable: Bool = false) throws {
        let file = "\(path)/\(name)"
        try Data(text.utf8).write(to: URL(filePath: file))
        if executable {
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file)
        }
    }

    func read(_ name: String) throws -> String { try String(contentsOfFile: "\(path)/\(name)", encoding: .utf8) }

    /// What the programs were asked to carry out since the last call.
    func commands() throws -> [String] {
        guard FileManager.default.fileExists(atPath: path + "/commands") else { return [] }
        let lines = try read("commands").split(separator: "\n").map(String.init)
        try FileManager.default.removeItem(atPath: path + "/commands")
        return lines
    }

    /// Requests of all services, every minute; a bad canary fails one in five from then on, and the canary's series end
    /// where they are said to.
    func writeEvidence(
        badCanary: String? = nil, from: Date = start, of services: [String] = ReleaseFolder.services,
        canaryEnd: Date = .distantFuture
    ) throws {
        try writeEvidence(since: Self.start, badCanary: badCanary, from: from, of: services, canaryEnd: canaryEnd)
    }

    /// The same for a gate that goes by the real time: of the last hours, and of some to come.
    func writeLiveEvidence(endingAt now: Date, badCanary: String?, of services: [String] = ReleaseFolder.services)
        throws
    {
        let minute = (now.timeIntervalSince1970 / 60).rounded(.down) * 60
        let since = Date(timeIntervalSince1970: minute - TimeInterval((Self.hours - 2) * 3600))
        try writeEvidence(since: since, badCanary: badCanary, from: since, of: services)
    }

    private func writeEvidence(
        since: Date, badCanary: String?, from: Date, of services: [String], canaryEnd: Date = .distantFuture
    ) throws {
        var history = SampleHistory()
        for service in services {
            for (track, rate) in [("canary", 100), ("stable", 400)] {
                var (good, bad) = (0, 0)
                for minute in 0...(Self.hours * 60) {
                    let at = since.addingTimeInterval(TimeInterval(minute * 60))
                    if track == "canary", at > canaryEnd { break }
                    let fails = service == badCanary && track == "canary" && at >= from
                    bad += fails ? rate / 5 : 0
                    good += fails ? rate - rate / 5 : rate
                    for (status, count) in [("200", good), ("500", bad)] {
                        history.add(
                            "http_requests_total", ["service": service, "track": track, "status": status],
                            SeriesSample(at: at, value: Double(count)))
                    }
                }
            }
        }
        try write("evidence.json", history.json.text)
    }

    /// Writes `release.yaml`, and who built it from the commit; the images' digests are made of the version.
    func writeRelease(
        _ version: String, previous: String = "1.1.0", commit: String? = ReleaseFolder.commit, isAttested: Bool = true,
        more: String = ""
    ) throws {
        let services = Self.services.enumerated().map { index, service in
            let depends = index == 0 ? "" : ", dependsOn: [\(Self.services[index - 1])]"
            let digest = Digest(of: Array("\(service) \(version)".utf8)).hexadecimal
            return "  - {name: \(service), image: \"registry/\(service):v1@sha256:\(digest)\"\(depends)}"
        }
        let chart = Digest(of: Array("chart \(version)".utf8)).hexadecimal
        let manifests = Digest(of: Array("manifests \(version)".utf8)).hexadecimal
        try write(
            "release.yaml",
            """
            name: golden
            version: \(version)
            chart: sha256:\(chart)
            manifests: sha256:\(manifests)
            previousVersion: \(previous)
            revision: "7"
            \(commit.map { "commit: \($0)\nattestations: [attestations]" } ?? "")
            services:
            \(services.joined(separator: "\n"))
            \(more)
            """)
        if let commit, isAttested { try attest(commit) }
    }

    /// Signs what `release.yaml` says is released.
    func attest(_ commit: String, key: String = "build") throws {
        let text = try SupplyChain.attest(
            try release.train, builder: Self.builder, source: .init(uri: Self.source, commit: commit),
            key: try ReleaseKey(file: "\(path)/\(key)"))
        try FileManager.default.createDirectory(atPath: path + "/attestations", withIntermediateDirectories: true)
        try write("attestations/release.jsonl", text)
    }

    /// Leaves the train one service: where many say no more than one, and take longer.
    func keepFirstService() throws {
        try write("gate.yaml", try read("gate.yaml").replacing("[slo]", with: "[slo/\(Self.services[0]).yaml]"))
        let lines = try read("release.yaml").split(separator: "\n").filter { line in
            !Self.services.dropFirst().contains { line.contains("name: \($0)") }
        }
        try write("release.yaml", lines.joined(separator: "\n"))
    }

    /// Records of everything that must have been done, as of now.
    func writePreconditions() throws {
        let now = Int(time.clock.now().timeIntervalSince1970)
        let digests = try release.train.artifacts.map { "  - {name: \"\($0.name)\", sha256: \"\($0.sha256)\"}" }
        let documents = Precondition.Kind.allCases.map { kind in
            """
            kind: \(kind.rawValue)
            result: passed
            atSeconds: \(now - 600)
            digests:
            \(digests.joined(separator: "\n"))
            evidenceSHA256: \(Digest(of: Array(kind.rawValue.utf8)).hexadecimal)
            summary: all of \(kind.rawValue) passed
            """
        }
        try write("preconditions.yaml", documents.joined(separator: "\n---\n"))
    }

    var release: ReleaseFile { get throws { try ReleaseFile(file: path + "/release.yaml") } }

    /// Runs a command of the gate; by the folder's time, unless another clock is given.
    func gate<Result: Sendable>(
        clock: GateClock? = nil, settings: ServiceConfiguration = ServiceConfiguration(),
        _ body: @Sendable @escaping (GateSession) async throws -> Result
    ) async throws -> Result {
        try await GateSession.with(
            file: path + "/gate.yaml", settings: settings,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, clock: clock ?? time.clock,
            console: .silent, body)
    }

    /// Flips one letter of a file.
    func damage(_ file: String, at place: Int) throws {
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: file)))
        bytes[place] = bytes[place] == UInt8(ascii: "7") ? UInt8(ascii: "8") : UInt8(ascii: "7")
        try Data(bytes).write(to: URL(filePath: file))
    }
}
