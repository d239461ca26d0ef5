import Contracts
import Foundation
import ReleaseGateCore
import ReleaseGateService
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct `A cluster's answer` {
    private static let prod = PreflightStores.root.appending(path: "k8s/tests/chart/golden/prod.yaml").path
    private static let matrix = PreflightStores.root.appending(path: "release/compatibility.yaml").path

    private static func pod(
        _ name: String, on node: String?, component: String? = nil, namespace: String = "golden-architecture",
        cpu: String = "1", phase: String = "Running", more: String = ""
    ) -> String {
        let labels = component.map {
            "\"app.kubernetes.io/part-of\":\"golden\",\"app.kubernetes.io/component\":\"\($0)\""
        }
        return """
            {"kind":"Pod","metadata":{"name":"\(name)","namespace":"\(namespace)","labels":{\(labels ?? "")}},
             "spec":{\(node.map { "\"nodeName\":\"\($0)\"," } ?? "")\(more)
              "containers":[{"resources":{"requests":{"cpu":"\(cpu)","memory":"1Gi"}}},{"name":"bare"}]},
             "status":{"phase":"\(phase)"}}
            """
    }

    private static func node(
        _ name: String, cpu: String = "8", memory: String = "32Gi", isReady: Bool = true, spec: String = "{}"
    ) -> String {
        """
        {"kind":"Node","metadata":{"name":"\(name)","labels":{"pool":"\(name)"}},"spec":\(spec),
         "status":{"allocatable":{"cpu":"\(cpu)","memory":"\(memory)","pods":"110"},
          "conditions":[{"type":"Ready","status":"\(isReady ? "True" : "Unknown")"}]}}
        """
    }

    private static func list(_ items: String...) -> String {
        "{\"kind\":\"List\",\"items\":[\(items.joined(separator: ","))]}"
    }

    private static func read(_ text: String) throws -> PreflightFacts.Cluster {
        try ClusterReader.cluster(text, namespace: "golden-architecture", from: "cluster.json")
    }

    @Test func `is read as kubectl prints it`() throws {
        let quota = """
            {"kind":"ResourceQuota","metadata":{"name":"golden","namespace":"golden-architecture"},
             "status":{"hard":{"requests.cpu":"4","pods":"10"},"used":{"requests.cpu":"1500m","pods":"3"}}}
            """
        let cluster = try Self.read(
            Self.list(
                Self.node("a"), Self.node("b", isReady: false), Self.node("c", spec: #"{"unschedulable":true}"#),
                Self.node("d", spec: #"{"taints":[{"key":"x","effect":"NoSchedule"},{"key":"y","effect":"Other"}]}"#),
                Self.pod("one", on: "a", component: "ledger"),
                Self.pod("two", on: "a", component: "ledger", cpu: "500m"),
                Self.pod("waiting", on: nil, component: "ledger"),
                Self.pod("done", on: "a", component: "ledger", phase: "Succeeded"),
                Self.pod("stranger", on: "a", namespace: "other"),
                Self.pod(
                    "prepared", on: "d", namespace: "other",
                    more: #"""
                        "overhead":{"cpu":"100m"},"initContainers":[{"resources":{"requests":{"cpu":"3"}}},
                         {"restartPolicy":"Always","resources":{"requests":{"memory":"1Gi"}}}],
                        """#),
                quota))
        #expect(cluster.nodes.map(\.isUsable) == [true, false, false, true])
        #expect(cluster.nodes.map(\.taints) == [[], [], [], ["x"]])
        let gibibyte = 1_073_741_824_000
        #expect(cluster.nodes[0].left == .init(cpu: 5500, memory: 29 * gibibyte) && cluster.nodes[0].podsLeft == 107)
        #expect(cluster.nodes[3].left == .init(cpu: 4900, memory: 30 * gibibyte))
        #expect(cluster.running == ["ledger": 2])
        #expect(cluster.quotas == [.init(name: "golden", left: ["requests.cpu": 2500, "pods": 7000])])
    }

    @Test(arguments: [
        "", "[]", "{\"items\":[]}", list(node("a")), list(pod("a", on: "b")),
        list(node("a", cpu: "much"), pod("a", on: "a")),
    ])
    func `that says nothing is refused`(text: String) {
        let error = #expect(throws: GateError.self) { try Self.read(text) }
        #expect(error?.code == .invalid)
    }

    /// What production's manifests need at once, on nodes that have just enough of it and a little less.
    @Test func `production's own manifests find their room, or do not`() throws {
        let chart = try ManifestReader.chart(try YAMLDocument.all(in: Self.prod), connectionsKept: 20)
        let names = chart.deployments.map(\.component)
        #expect(Set(names).isSuperset(of: ManifestReader.pools.keys), "\(names)")
        let orchestrator = try #require(chart.deployments.first { $0.component == "orchestrator" })
        #expect(orchestrator.isCanary && orchestrator.pods == 2 && orchestrator.requests.cpu > 0)
        let others = chart.deployments.filter { $0.component != "orchestrator" }
        #expect(others.allSatisfy { !$0.isCanary && $0.requests.memory > 0 && $0.limits.cpu > 0 })
        func verdict(_ nodes: Int, cpu: String) throws -> PreflightFinding.Verdict? {
            var facts = PreflightFacts(environment: .prod, atSeconds: 0)
            facts.chart = .answered(chart)
            let items = (0..<nodes).map { Self.node("n\($0)", cpu: cpu) } + [Self.pod("dns", on: "n0", namespace: "x")]
            facts.cluster = .answered(try Self.read("{\"items\":[\(items.joined(separator: ","))]}"))
            return PreflightRules.report(facts).findings.first { $0.check == .clusterCapacity }?.verdict
        }
        #expect(try verdict(12, cpu: "16") == .ok)
        #expect(try verdict(1, cpu: "4") == .failed)
        #expect(try verdict(500, cpu: "100m") == .failed, "in sum there is enough, and no pod fits")
    }

    /// A quota that leaves nothing, where the release goes.
    @Test func `says nothing of a namespace that is not in it`() async throws {
        let folder = try temporaryFolder("namespace").path
        let quota = """
            {"kind":"ResourceQuota","metadata":{"name":"golden","namespace":"mine"},
             "status":{"hard":{"pods":"3"},"used":{"pods":"3"}}}
            """
        let full = Self.list(
            Self.node("a", cpu: "64", memory: "256Gi"), Self.pod("dns", on: "a", namespace: "kube-system"), quota)
        try Data(full.utf8).write(to: URL(filePath: folder + "/cluster.json"))
        var targets = PreflightTargets()
        (targets.cluster, targets.manifests) = (folder + "/cluster.json", Self.prod)
        func quotas(_ targets: PreflightTargets) async throws -> [PreflightFinding] {
            try await Preflight(targets: targets, logger: PreflightStores.logger).report(.prod).findings
                .filter { $0.check == .clusterQuota }
        }
        let usual = try await quotas(targets)
        #expect(usual.map(\.verdict) == [.unknown], "\(usual)")
        #expect(usual[0].found.contains("is in the namespace golden-architecture"), "\(usual)")
        // As gate.yaml has it.
        let gate = try ReleaseFolder()
        try gate.write(
            "gate.yaml",
            try gate.read("gate.yaml").replacing("namespace: golden-architecture", with: "namespace: {prod: mine}"))
        try targets.setNamespace(configuration: gate.path + "/gate.yaml", environment: "prod")
        let own = try await quotas(targets)
        #expect(own.map(\.verdict) == [.failed] && own[0].found.contains("the quota golden"), "\(own)")
        // One that is there and empty has no quota.
        let empty = Self.list(
            Self.node("a"), Self.pod("dns", on: "a", namespace: "kube-system"),
            #"{"kind":"Namespace","metadata":{"name":"golden-architecture"}}"#)
        #expect(try Self.read(empty).namespace == .there)
        // One that is still to be made is none of those that were listed.
        let others = Self.list(
            Self.node("a"), Self.pod("dns", on: "a", namespace: "kube-system"),
            #"{"kind":"Namespace","metadata":{"name":"kube-system"}}"#)
        #expect(try Self.read(others).namespace == .absent("golden-architecture"))
        #expect(try Self.read(full).namespace == .unseen("golden-architecture"))
    }

    /// The program, with what a cluster's kubectl prints.
    @Test func `stands against a release, and in the record that a promotion asks for`() async throws {
        let folder = try temporaryFolder("cluster").path
        let full = Self.list(Self.node("a", cpu: "100m"), Self.pod("dns", on: "a", namespace: "x", cpu: "50m"))
        try Data(full.utf8).write(to: URL(filePath: folder + "/cluster.json"))
        let outcome = try await blocking {
            try Command.run(
                try LineProcess.built("release-gate"),
                [
                    "preflight", "--env", "prod", "--cluster", folder + "/cluster.json", "--manifests", Self.prod,
                    "--compatibility", Self.matrix, "--record", folder + "/preflight.json",
                ], folder: folder)
        }
        #expect(outcome.status == 10 && outcome.output.contains("cluster_capacity"), "\(outcome.output)")
        #expect(outcome.output.contains("1 of 1 nodes have no room for"), "\(outcome.output)")
        let record = try Canonical.decode(
            Precondition.self, from: try Data(contentsOf: URL(filePath: folder + "/preflight.json")))
        #expect(record.kind == .preflight && record.result == .failed && record.summary.hasPrefix("prod: "))
        let bad = try await blocking {
            try Command.run(
                try LineProcess.built("release-gate"), ["preflight", "--cluster", Self.prod], folder: folder)
        }
        #expect(bad.status == 2 && bad.output.contains("kubectl get nodes,pods,resourcequotas"), "\(bad.output)")
    }
}

/// `release/compatibility.yaml` is about this very tree.
@Suite(.timeLimit(.minutes(10))) struct `Our compatibility matrix` {
    private static func text(_ path: String) throws -> String {
        try String(contentsOf: PreflightStores.root.appending(path: path), encoding: .utf8)
    }

    @Test func `is in order, and its newest row is this version`() throws {
        let matrix = try GateConfiguration.matrix(
            in: PreflightStores.root.appending(path: "release/compatibility.yaml").path)
        #expect(matrix.faults == [])
        let newest = try #require(matrix.versions.last)
        let version = try Self.text("VERSION").trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(newest.version.description == version)
        let folder = PreflightStores.root.appending(path: "migrations").path
        let numbers = try FileManager.default.contentsOfDirectory(atPath: folder).compactMap { name in
            name.hasSuffix(".sql") ? Int(name.prefix(3)) : nil
        }
        #expect(newest.schema == numbers.max(), "a migration changes the row of the version that brings it")
        let wire = try Self.text("Sources/Contracts/Messages/WireMessage.swift")
        let form = try #require(wire.firstMatch(of: /writer\.field\("v", (\d+)\)/))
        #expect(newest.messages == Int(form.1))
    }

    @Test func `is what both gates of ours go by`() throws {
        for name in ["gate.yaml", "stack-gate.yaml"] {
            let gate = try GateConfiguration(file: PreflightStores.root.appending(path: "release/\(name)").path)
            #expect(gate.compatibility?.versions.isEmpty == false, "\(name)")
        }
    }

    @Test func `is asked when a version is cut`() async throws {
        let folder = try ReleaseFolder()
        let path = folder.path
        func refusal(_ version: String) async throws -> String {
            do {
                try await folder.gate { try await $0.cut(version: version, chart: path + "/chart", changelog: nil) }
            } catch let error as GateError { return error.message }
            return ""
        }
        try folder.write("chart/CHANGELOG.md", "## [Unreleased]\n\n### Added\n\n- Invoices.\n")
        try folder.write("compatibility.yaml", "versions: [{version: 1.1.0, schema: 1, messages: 1, runsBeside: []}]")
        #expect(try await refusal("1.2.0").contains("compatibility: the matrix has no row for 1.2.0"))
        try folder.write(
            "compatibility.yaml",
            """
            versions:
              - {version: 1.1.0, schema: 1, messages: 1, runsBeside: []}
              - {version: 1.2.0, schema: 1, messages: 1, runsBeside: []}
            """)
        #expect(try await refusal("1.2.0").contains("1.2.0 after 1.1.0: neither runs beside it nor says what breaks"))
        try folder.write(
            "gate.yaml", try folder.read("gate.yaml").replacing("compatibility: compatibility.yaml", with: ""))
        #expect(try await refusal("1.2.0").contains("gate.yaml names no compatibility matrix"))
        #expect(try folder.read("chart/Chart.yaml").contains("version: 1.1.0"))
    }

    /// A version that the one before does not run beside is not rolled back in silence: it is held.
    @Test func `stands against a way back that would break`() async throws {
        let folder = try ReleaseFolder()
        try folder.writeRelease("1.2.0-rc.1", previous: "1.0.0")
        let release = try folder.release
        let error = await #expect(throws: GateError.self) {
            try await folder.gate {
                try await $0.rollback(release, environment: "dev", reason: "it is bad", isArmed: true)
            }
        }
        #expect(error?.code == .refused && error?.message.contains("the version before cannot run on it") == true)
        try folder.writeEvidence(badCanary: "billing", from: ReleaseFolder.start.addingTimeInterval(3600))
        let code = try await folder.gate { try await $0.canary(release, environment: "dev", isArmed: true) }
        #expect(code == 10)
        #expect(try folder.commands().isEmpty)
    }
}
