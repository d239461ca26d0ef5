/// Whether the cluster has room for old and new pods at the same time.
extension PreflightRules {
    /// Pods that do not run yet, and must while the release goes on.
    struct Demand: Equatable {
        let deployment: PreflightFacts.Deployment
        let pods: Int
    }

    /// A canary has as many pods as what it replaces before the last of those goes; everything else one more.
    static func demand(
        _ deployments: [PreflightFacts.Deployment], running: [String: Int]
    ) -> [Demand] {
        deployments.map { deployment in
            let now = running[deployment.component] ?? 0
            let settled = max(deployment.pods, now)
            let most = settled + (deployment.isCanary ? settled : 1)
            return Demand(deployment: deployment, pods: deployment.pods == 0 ? 0 : most - now)
        }
    }

    static func cluster(_ facts: PreflightFacts) -> [PreflightFinding] {
        let requirements = ["A29"]
        let next =
            "kubectl get nodes,pods,resourcequotas,namespaces -A -o json | release-gate preflight --cluster - "
            + "--manifests …"
        // What runs already found its room.
        guard !facts.isAfterDeploy else { return [] }
        let cluster: PreflightFacts.Cluster
        switch facts.cluster {
        case .answered(let answer): cluster = answer
        case .unreachable(let why), .notAsked(let why):
            return [
                unnamed(
                    .clusterCapacity, requirements, "whether there is room is not known: \(why)", facts, next: next)
            ]
        }
        guard case .answered(let chart) = facts.chart else {
            return [
                unnamed(
                    .clusterCapacity, requirements, "how much room is needed is not known without manifests", facts,
                    next: next)
            ]
        }
        let demands = demand(chart.deployments, running: cluster.running)
        return [capacity(demands, cluster)] + cluster.quotas.map { quota(demands, $0) }
            + missing(cluster.namespace, requirements, facts, next: next)
    }

    /// Before a first release its namespace may still be to be made; or another's is looked at.
    private static func missing(
        _ namespace: PreflightFacts.Cluster.Namespace, _ requirements: [String], _ facts: PreflightFacts, next: String
    ) -> [PreflightFinding] {
        let own = "Name the release's own: --namespace NAME, or --config gate.yaml."
        switch namespace {
        case .there: return []
        case .absent(let name):
            return [
                PreflightFinding(
                    .clusterQuota, .warning, requirements,
                    "the namespace \(name) is not there yet: no quota of it is known", next: "Check the name. \(own)")
            ]
        case .unseen(let name):
            return [
                unnamed(
                    .clusterQuota, requirements,
                    "nothing that was listed is in the namespace \(name): whose quotas and pods count is not known",
                    facts, next: "\(own) An empty one is seen among namespaces: \(next)")
            ]
        }
    }

    /// Places the largest pods first, each where the least is left over: what does not fit so, Kubernetes would hardly
    /// place either.
    private static func capacity(_ demands: [Demand], _ cluster: PreflightFacts.Cluster) -> PreflightFinding {
        var nodes = cluster.nodes.filter(\.isUsable)
        let sum = demands.reduce(PreflightFacts.Amount()) { $0 + $1.deployment.requests * $1.pods }
        let count = demands.reduce(0) { $0 + $1.pods }
        let order = demands.sorted { left, right in
            let (mine, other) = (left.deployment, right.deployment)
            return (mine.requests.memory, mine.requests.cpu, other.component)
                > (other.requests.memory, other.requests.cpu, mine.component)
        }
        var lacking: [String] = []
        for demand in order {
            var placed = 0
            while placed < demand.pods, let place = place(for: demand.deployment, in: nodes) {
                nodes[place].left = nodes[place].left - demand.deployment.requests
                nodes[place].podsLeft -= 1
                placed += 1
            }
            if placed < demand.pods {
                let name = demand.deployment.component
                lacking.append(
                    "\(demand.pods - placed) of \(demand.pods) pods of \(name) (\(demand.deployment.requests.text))")
            }
        }
        let all = "\(count) pods more while old and new run (\(sum.text))"
        let on = "\(nodes.count) of \(cluster.nodes.count) nodes"
        guard lacking.isEmpty else {
            return PreflightFinding(
                .clusterCapacity, .failed, ["A29"], "\(all): \(on) have no room for \(lacking.joined(separator: ", "))",
                next: "Add nodes, or free some: kubectl describe nodes shows who asks for what.")
        }
        return PreflightFinding(.clusterCapacity, .ok, ["A29"], "\(all) have room on \(on)")
    }

    private static func place(
        for deployment: PreflightFacts.Deployment, in nodes: [PreflightFacts.Cluster.Node]
    ) -> Int? {
        nodes.indices.filter { index in
            let node = nodes[index]
            let isBorne = deployment.tolerations.contains("*") || node.taints.isSubset(of: deployment.tolerations)
            let isWanted = deployment.nodeSelector.allSatisfy { node.labels[$0.key] == $0.value }
            return isBorne && isWanted && node.podsLeft > 0 && deployment.requests.fits(into: node.left)
        }.min { left, right in
            (nodes[left].left.memory, nodes[left].left.cpu) < (nodes[right].left.memory, nodes[right].left.cpu)
        }
    }

    private static func quota(
        _ demands: [Demand], _ quota: PreflightFacts.Cluster.Quota
    ) -> PreflightFinding {
        let requests = demands.reduce(PreflightFacts.Amount()) { $0 + $1.deployment.requests * $1.pods }
        let limits = demands.reduce(PreflightFacts.Amount()) { $0 + $1.deployment.limits * $1.pods }
        let needed = [
            "requests.cpu": requests.cpu, "cpu": requests.cpu, "requests.memory": requests.memory,
            "memory": requests.memory, "limits.cpu": limits.cpu, "limits.memory": limits.memory,
            "pods": demands.reduce(0) { $0 + $1.pods } * 1000,
        ]
        let short = quota.left.sorted { $0.key < $1.key }.compactMap { name, left -> String? in
            guard let need = needed[name], need > left else { return nil }
            return "\(name): \(shown(need, name)) more are needed, \(shown(left, name)) are left"
        }
        return PreflightFinding(
            .clusterQuota, short.isEmpty ? .ok : .failed, ["A29"],
            short.isEmpty
                ? "the quota \(quota.name) has room for old and new pods"
                : "the quota \(quota.name): \(short.joined(separator: "; "))",
            next: short.isEmpty ? nil : "Raise quota in the chart's values, or scale down before the release.")
    }

    private static func shown(_ thousandths: Int, _ name: String) -> String {
        name.hasSuffix("memory") ? "\(thousandths / 1000 / 1_048_576) MiB" : Decimal.text(thousandths: thousandths)
    }
}
