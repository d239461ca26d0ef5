package import Contracts
package import ReleaseGateCore

/// Reads out of rendered manifests how many connections their pods may ask Postgres for.
package enum ManifestReader {
    /// What a service's pool holds unless GOLDEN_POOL_SIZE says otherwise, and the connections it takes besides. The
    /// chart's `golden.facts` has the same; a test holds them together.
    package static let pools: [String: (pool: Int, spare: Int)] = [
        "orchestrator": (6, 1), "peer-hub": (4, 0), "supervisor": (4, 0), "sandbox-executor": (4, 0),
        "dlq-worker": (3, 0), "release-gate": (2, 0),
    ]
    /// Who is scaled by something may run one pod more while it is rolled out.
    private static let surge = 1
    private static let urlKeys = ["GOLDEN_POSTGRES_URL", "GOLDEN_POSTGRES_URL_FILE"]
    private static let poolKey = "GOLDEN_POOL_SIZE"
    private static let componentLabel = "app.kubernetes.io/component"

    /// - Throws: `invalid` for a workload that asks Postgres and whose pool nobody knows.
    package static func chart(_ documents: [JSON], connectionsKept: Int) throws(GateError) -> PreflightFacts.Chart {
        let bounds = podBounds(documents)
        var settings: [String: [String: String]] = [:]
        for document in documents where kind(document) == "ConfigMap" {
            settings[name(document)] = PodReader.strings(document.at("data"))
        }
        var workloads: [PreflightFacts.Chart.Workload] = []
        for document in documents where ["Deployment", "StatefulSet"].contains(kind(document)) {
            let environment = environment(of: document, settings)
            guard urlKeys.contains(where: { environment[$0] != nil }) else { continue }
            let component = document.at("spec", "template", "metadata", "labels", componentLabel)?.string ?? ""
            guard let known = pools[component] else {
                throw GateError(.invalid, "\(name(document)) asks Postgres, and what its pool holds is not known.")
            }
            let pool = environment[poolKey].flatMap { Int($0) } ?? known.pool
            let pods = bounds[name(document)] ?? document.at("spec", "replicas")?.int ?? 1
            workloads.append(
                .init(name: component, podsMax: pods + surge, connectionsPerPod: pool + known.spare))
        }
        return PreflightFacts.Chart(
            workloads: workloads.sorted { $0.name < $1.name }, connectionsKept: connectionsKept,
            deployments: try deployments(documents))
    }

    /// What runs pods, as its scaler starts it.
    private static func deployments(_ documents: [JSON]) throws(GateError) -> [PreflightFacts.Deployment] {
        var least: [String: Int] = [:]
        var canaries: Set<String> = []
        for document in documents {
            switch kind(document) {
            case "HorizontalPodAutoscaler":
                if let target = document.at("spec", "scaleTargetRef", "name")?.string {
                    least[target] = document.at("spec", "minReplicas")?.int ?? 1
                }
            case "ScaledObject":
                if let target = document.at("spec", "scaleTargetRef", "name")?.string {
                    least[target] = document.at("spec", "minReplicaCount")?.int ?? 0
                }
            case "Rollout": canaries.formUnion([document.at("spec", "workloadRef", "name")?.string].compactMap { $0 })
            case "Canary": canaries.formUnion([document.at("spec", "targetRef", "name")?.string].compactMap { $0 })
            default: break
            }
        }
        var deployments: [PreflightFacts.Deployment] = []
        for document in documents where ["Deployment", "StatefulSet"].contains(kind(document)) {
            let name = name(document)
            guard let spec = document.at("spec", "template", "spec") else { continue }
            deployments.append(
                PreflightFacts.Deployment(
                    component: document.at("spec", "template", "metadata", "labels", componentLabel)?.string ?? name,
                    pods: least[name] ?? document.at("spec", "replicas")?.int ?? 1, isCanary: canaries.contains(name),
                    requests: try PodReader.amount(spec, "requests", of: name),
                    limits: try PodReader.amount(spec, "limits", of: name),
                    nodeSelector: PodReader.strings(spec.at("nodeSelector")), tolerations: PodReader.tolerations(spec)))
        }
        return deployments
    }

    /// The most pods of what is scaled, or stands behind a Rollout.
    private static func podBounds(_ documents: [JSON]) -> [String: Int] {
        var bounds: [String: Int] = [:]
        for document in documents where kind(document) == "Rollout" {
            guard let target = document.at("spec", "workloadRef", "name")?.string else { continue }
            bounds[target] = document.at("spec", "replicas")?.int
        }
        for document in documents {
            let most =
                switch kind(document) {
                case "HorizontalPodAutoscaler": document.at("spec", "maxReplicas")?.int
                case "ScaledObject": document.at("spec", "maxReplicaCount")?.int
                default: nil as Int?
                }
            guard let most, let target = document.at("spec", "scaleTargetRef", "name")?.string else { continue }
            bounds[target] = most
        }
        return bounds
    }

    /// The settings of all its containers.
    private static func environment(of document: JSON, _ settings: [String: [String: String]]) -> [String: String] {
        var environment: [String: String] = [:]
        for container in document.at("spec", "template", "spec", "containers")?.array ?? [] {
            for source in container.at("envFrom")?.array ?? [] {
                guard let map = source.at("configMapRef", "name")?.string else { continue }
                environment.merge(settings[map] ?? [:]) { $1 }
            }
            for variable in container.at("env")?.array ?? [] {
                guard let name = variable.at("name")?.string else { continue }
                environment[name] = variable.at("value").map { $0.string ?? $0.text } ?? ""
            }
        }
        return environment
    }

    private static func kind(_ document: JSON) -> String { document.at("kind")?.string ?? "" }
    private static func name(_ document: JSON) -> String { document.at("metadata", "name")?.string ?? "" }
}
