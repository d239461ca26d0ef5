internal import Contracts
package import ReleaseGateCore

/// Reads what a cluster has and who uses it out of `kubectl get nodes,pods,resourcequotas,namespaces -A -o json`.
package enum ClusterReader {
    private static let itemsMax = 200_000
    private static let partLabel = "app.kubernetes.io/part-of"
    private static let componentLabel = "app.kubernetes.io/component"
    private static let part = "golden"
    private static let taintEffects = ["NoSchedule", "NoExecute"]

    /// - Throws: `invalid` for anything else, also for a list without nodes or without pods: an empty cluster is no
    ///   answer.
    package static func cluster(
        _ text: String, namespace: String, from path: String
    ) throws(GateError) -> PreflightFacts.Cluster {
        let next = "kubectl get nodes,pods,resourcequotas,namespaces -A -o json"
        let items: [JSON]
        do { items = try JSON(parsing: text.utf8).at("items")?.array ?? [] } catch {
            throw GateError(.invalid, "\(path) is no JSON.", next: next, underlying: error)
        }
        func of(_ kind: String) -> [JSON] { items.filter { $0.at("kind")?.string == kind } }
        let (nodes, pods) = (of("Node"), of("Pod"))
        guard !nodes.isEmpty, !pods.isEmpty, items.count <= itemsMax else {
            throw GateError(.invalid, "\(path) does not say which nodes and pods there are.", next: next)
        }
        var used: [String: (amount: PreflightFacts.Amount, pods: Int)] = [:]
        var running: [String: Int] = [:]
        for pod in pods where !["Succeeded", "Failed"].contains(pod.at("status", "phase")?.string) {
            guard let spec = pod.at("spec"), let node = spec.at("nodeName")?.string, !node.isEmpty else { continue }
            let amount = try PodReader.amount(spec, "requests", of: pod.at("metadata", "name")?.string ?? "a pod")
            let before = used[node] ?? (PreflightFacts.Amount(), 0)
            used[node] = (before.amount + amount, before.pods + 1)
            let labels = pod.at("metadata", "labels")
            guard pod.at("metadata", "namespace")?.string == namespace, labels?.at(partLabel)?.string == part,
                let component = labels?.at(componentLabel)?.string
            else { continue }
            running[component, default: 0] += 1
        }
        var read: [PreflightFacts.Cluster.Node] = []
        for node in nodes { read.append(try Self.node(node, used)) }
        var quotas: [PreflightFacts.Cluster.Quota] = []
        for quota in of("ResourceQuota") where quota.at("metadata", "namespace")?.string == namespace {
            quotas.append(try Self.quota(quota))
        }
        return PreflightFacts.Cluster(
            nodes: read, quotas: quotas, running: running, namespace: seen(namespace, among: items))
    }

    private static func seen(_ name: String, among items: [JSON]) -> PreflightFacts.Cluster.Namespace {
        let namespaces = items.filter { $0.at("kind")?.string == "Namespace" }
        let isThere =
            namespaces.contains { $0.at("metadata", "name")?.string == name }
            || items.contains { $0.at("metadata", "namespace")?.string == name }
        if isThere { return .there }
        return namespaces.isEmpty ? .unseen(name) : .absent(name)
    }

    private static func node(
        _ node: JSON, _ used: [String: (amount: PreflightFacts.Amount, pods: Int)]
    ) throws(GateError) -> PreflightFacts.Cluster.Node {
        let name = node.at("metadata", "name")?.string ?? ""
        let isReady = (node.at("status", "conditions")?.array ?? []).contains {
            $0.at("type")?.string == "Ready" && $0.at("status")?.string == "True"
        }
        let taints = (node.at("spec", "taints")?.array ?? []).filter {
            taintEffects.contains($0.at("effect")?.string ?? "")
        }
        let allocatable = node.at("status", "allocatable")
        let whole = PreflightFacts.Amount(
            cpu: try PodReader.thousandths(allocatable?.at("cpu"), of: "the node \(name)"),
            memory: try PodReader.thousandths(allocatable?.at("memory"), of: "the node \(name)"))
        let pods = try PodReader.thousandths(allocatable?.at("pods"), of: "the node \(name)") / 1000
        let taken = used[name] ?? (PreflightFacts.Amount(), 0)
        return PreflightFacts.Cluster.Node(
            name: name, isUsable: isReady && node.at("spec", "unschedulable")?.bool != true,
            labels: PodReader.strings(node.at("metadata", "labels")),
            taints: Set(taints.compactMap { $0.at("key")?.string }), left: whole - taken.amount,
            podsLeft: pods - taken.pods)
    }

    private static func quota(_ quota: JSON) throws(GateError) -> PreflightFacts.Cluster.Quota {
        let name = quota.at("metadata", "name")?.string ?? ""
        var left: [String: Int] = [:]
        for (resource, hard) in quota.at("status", "hard")?.fields ?? [] {
            let used = quota.at("status", "used")?.fields?.first { $0.name == resource }?.value
            left[resource] =
                try PodReader.thousandths(hard, of: "the quota \(name)")
                - PodReader.thousandths(used ?? .zero, of: "the quota \(name)")
        }
        return PreflightFacts.Cluster.Quota(name: name, left: left)
    }
}

/// Reads what pods ask for, from a cluster or from manifests.
enum PodReader {
    /// As the scheduler counts: all containers together, or one of those before them if it asks for more, and what the
    /// runtime takes.
    static func amount(_ spec: JSON, _ side: String, of what: String) throws(GateError) -> PreflightFacts.Amount {
        func asked(_ resources: JSON?) throws(GateError) -> PreflightFacts.Amount {
            PreflightFacts.Amount(
                cpu: try thousandths(resources?.at("cpu") ?? .zero, of: what),
                memory: try thousandths(resources?.at("memory") ?? .zero, of: what))
        }
        var sum = PreflightFacts.Amount()
        for container in spec.at("containers")?.array ?? [] { sum = sum + (try asked(container.at("resources", side))) }
        for container in spec.at("initContainers")?.array ?? [] {
            let one = try asked(container.at("resources", side))
            // Such a one goes on beside the others (a sidecar).
            if container.at("restartPolicy")?.string == "Always" { sum = sum + one } else { sum = sum.covering(one) }
        }
        return sum + (try asked(spec.at("overhead")))
    }

    /// Keys of taints that a pod bears; `*` for all. Values and effects are left to the scheduler.
    static func tolerations(_ spec: JSON) -> Set<String> {
        Set((spec.at("tolerations")?.array ?? []).map { $0.at("key")?.string ?? "*" })
    }

    static func strings(_ json: JSON?) -> [String: String] {
        Dictionary((json?.fields ?? []).map { ($0.name, $0.value.string ?? $0.value.text) }) { $1 }
    }

    /// - Throws: `invalid` for what is missing or no quantity.
    static func thousandths(_ json: JSON?, of what: String) throws(GateError) -> Int {
        let text = json.map { $0.string ?? $0.text } ?? ""
        guard let value = KubernetesQuantity.thousandths(text) else {
            throw GateError(.invalid, "Of \(what), \"\(text)\" is no amount.")
        }
        return value
    }
}

extension JSON {
    static let zero = JSONWriter.string("0")

    /// The value below these names; nil where one is missing.
    func at(_ names: String...) -> JSON? {
        var value: JSON? = self
        for name in names { value = value?.fields?.first { $0.name == name }?.value }
        return value
    }
}
