import Testing

@testable import ReleaseGateCore

@Suite struct `A cluster's room` {
    private static let gibibyte = 1_073_741_824_000

    private static func deployment(
        _ component: String, pods: Int, isCanary: Bool = false, cpu: Int = 1000, memory: Int = gibibyte,
        selector: [String: String] = [:], tolerations: Set<String> = []
    ) -> PreflightFacts.Deployment {
        PreflightFacts.Deployment(
            component: component, pods: pods, isCanary: isCanary, requests: .init(cpu: cpu, memory: memory),
            limits: .init(cpu: cpu > 9_000_000 ? cpu : 2 * cpu, memory: memory), nodeSelector: selector,
            tolerations: tolerations)
    }

    private static func node(
        _ name: String, cpu: Int, gibibytes: Int = 64, pods: Int = 100, isUsable: Bool = true,
        labels: [String: String] = [:], taints: Set<String> = []
    ) -> PreflightFacts.Cluster.Node {
        PreflightFacts.Cluster.Node(
            name: name, isUsable: isUsable, labels: labels, taints: taints,
            left: .init(cpu: cpu, memory: gibibytes * gibibyte), podsLeft: pods)
    }

    private static func findings(
        _ deployments: [PreflightFacts.Deployment], _ cluster: PreflightFacts.Cluster
    ) -> [PreflightFinding] {
        var facts = PreflightFacts(environment: .prod, atSeconds: 0)
        facts.chart = .answered(.init(workloads: [], connectionsKept: 0, deployments: deployments))
        facts.cluster = .answered(cluster)
        return PreflightRules.cluster(facts)
    }

    @Test(arguments: [
        (2, false, 2, 1), (2, true, 2, 2), (2, true, 5, 5), (2, false, 5, 1), (3, true, 0, 6), (3, false, 0, 4),
        (3, false, 1, 3), (0, false, 0, 0),
    ])
    func `old and new pods are counted together`(pods: Int, isCanary: Bool, running: Int, more: Int) {
        let demand = PreflightRules.demand(
            [Self.deployment("it", pods: pods, isCanary: isCanary)], running: ["it": running])
        #expect(demand.map(\.pods) == [more])
    }

    struct Case: Sendable {
        let nodes: [PreflightFacts.Cluster.Node]
        let isClear: Bool
    }

    /// Two pods more, of one CPU and one GiB each.
    @Test(arguments: [
        Case(nodes: [node("a", cpu: 2000)], isClear: true), Case(nodes: [node("a", cpu: 1999)], isClear: false),
        // In sum there is room, and on no node.
        Case(nodes: [node("a", cpu: 900), node("b", cpu: 900), node("c", cpu: 900)], isClear: false),
        Case(nodes: [node("a", cpu: 1000), node("b", cpu: 1000)], isClear: true),
        Case(nodes: [node("a", cpu: 9000, gibibytes: 1)], isClear: false),
        Case(nodes: [node("a", cpu: 9000, pods: 1)], isClear: false),
        Case(nodes: [node("a", cpu: 9000, isUsable: false)], isClear: false),
        Case(nodes: [node("a", cpu: 9000, taints: ["gpu"])], isClear: false), Case(nodes: [], isClear: false),
    ])
    func `it is looked for node by node`(given: Case) throws {
        let found = Self.findings([Self.deployment("it", pods: 1)], .init(nodes: given.nodes))
        #expect(found.count == 1 && found[0].check == .clusterCapacity && found[0].requirements == ["A29"])
        #expect(found[0].verdict == (given.isClear ? .ok : .failed), "\(found)")
        #expect(found[0].found.hasPrefix("2 pods more while old and new run (2.0 CPU, 2048 MiB)"), "\(found)")
        if !given.isClear { #expect(found[0].found.contains("2 pods of it (1.0 CPU, 1024 MiB)"), "\(found)") }
    }

    @Test func `a pod that must run somewhere is looked for there`() {
        let nodes = [Self.node("a", cpu: 9000), Self.node("b", cpu: 2000, labels: ["pool": "s"], taints: ["sandbox"])]
        func verdict(_ deployment: PreflightFacts.Deployment) -> PreflightFinding.Verdict? {
            Self.findings([deployment], .init(nodes: nodes)).first?.verdict
        }
        #expect(verdict(Self.deployment("it", pods: 1, selector: ["pool": "s"])) == .failed)
        #expect(verdict(Self.deployment("it", pods: 1, selector: ["pool": "s"], tolerations: ["sandbox"])) == .ok)
        #expect(verdict(Self.deployment("it", pods: 2, selector: ["pool": "s"], tolerations: ["*"])) == .failed)
    }

    /// Placed in the order in which they stand, the small ones would break up the room of the large one.
    @Test func `absurd numbers stop nothing`() {
        let absurd = Self.deployment("it", pods: .max, isCanary: true, cpu: .max, memory: .max)
        let cluster = PreflightFacts.Cluster(
            nodes: [Self.node("a", cpu: 9000)], quotas: [.init(name: "golden", left: ["pods": 1, "cpu": 1])])
        #expect(Self.findings([absurd, absurd], cluster).map(\.verdict) == [.failed, .failed])
    }

    @Test func `the largest is placed first`() {
        let small = Self.deployment("a-small", pods: 1, cpu: 500, memory: Self.gibibyte)
        let large = Self.deployment("b-large", pods: 1, cpu: 2000, memory: 4 * Self.gibibyte)
        let cluster = PreflightFacts.Cluster(
            nodes: [Self.node("x", cpu: 2000, gibibytes: 4), Self.node("y", cpu: 1000, gibibytes: 5)],
            running: ["a-small": 1, "b-large": 1])
        #expect(Self.findings([small, large], cluster).map(\.verdict) == [.ok])
    }

    @Test(arguments: [
        (["requests.cpu": 2000, "limits.cpu": 4000, "pods": 2000, "count/secrets": 0], true),
        (["requests.cpu": 1999], false), (["cpu": 1999], false), (["limits.cpu": 3999], false),
        (["limits.memory": 2 * gibibyte - 1], false), (["requests.memory": -1], false), (["pods": 1000], false),
    ])
    func `a quota must leave as much`(left: [String: Int], isClear: Bool) throws {
        let cluster = PreflightFacts.Cluster(
            nodes: [Self.node("a", cpu: 9000)], quotas: [.init(name: "golden", left: left)])
        let found = try #require(Self.findings([Self.deployment("it", pods: 1)], cluster).last)
        #expect(found.check == .clusterQuota && found.verdict == (isClear ? .ok : .failed), "\(found)")
    }

    @Test(
        arguments: [
            ("250m", 250), ("2", 2000), ("0.5", 500), ("64Gi", 68_719_476_736_000), ("1500M", 1_500_000_000_000),
            ("1e3", 1_000_000), ("100k", 100_000_000), ("1.5Ki", 1_536_000), ("1u", 1), ("", nil), ("-1", nil),
            ("1x", nil), ("9999999P", nil), ("1e99", nil), ("Gi", nil),
        ] as [(String, Int?)])
    func `amounts are read as Kubernetes writes them`(text: String, thousandths: Int?) {
        #expect(KubernetesQuantity.thousandths(text) == thousandths)
    }
}
