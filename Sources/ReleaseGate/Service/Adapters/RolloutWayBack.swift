package import Contracts

/// Which commands bring the version before back in a Rollout, by what kubectl says of it and of the ReplicaSets that
/// are its revisions. Pure.
///
/// They name the version: `undo` by itself takes the newest revision before, which may be one that was rejected. All
/// traffic goes back at once (`promote --full`): what would be asked on the way was decided already. Begun before, or
/// by hand, it goes on where it is.
package enum RolloutWayBack {
    /// What kubectl is asked.
    static let query = [
        "kubectl", "get", "rollouts.argoproj.io,replicasets.apps", "-n", "{namespace}", "-o", "json",
    ]
    /// What chart and controller put on each revision.
    private static let versionLabel = "app.kubernetes.io/version"
    private static let hashLabel = "rollouts-pod-template-hash"
    private static let numberAnnotation = "rollout.argoproj.io/revision"
    /// How long the controller may take to see a change, and pods to take the traffic.
    private static let (seenMax, workMax) = ("2m", "10m")

    private struct Revision {
        let number: Int
        let hash: String
    }

    /// - Parameters:
    ///   - undo: goes back to the revision `{toRevision}`.
    ///   - values: name the Rollout, its namespace and the version before.
    /// - Returns: none when it is back already.
    /// - Throws: `adapterFailed` when nothing says where the way back leads.
    package static func commands(
        _ undo: CommandTemplate, _ values: [CommandTemplate.Place: String], _ json: JSON
    ) throws(GateError) -> [[String]] {
        guard let name = values[.rollout], let namespace = values[.namespace], let version = values[.previousVersion]
        else {
            throw GateError(
                .adapterFailed, "Nobody knows which version to go back to.",
                next: "release.yaml: previousVersion, what ran before.")
        }
        let items = json.at("items")?.array ?? []
        let status = items.first { isObject($0, "Rollout", name) }?.at("status")
        guard let stable = status?.at("stableRS")?.string, let current = status?.at("currentPodHash")?.string else {
            throw GateError(.adapterFailed, "There is no Rollout \(name) in \(namespace), or it has not begun.")
        }
        let revisions = items.compactMap { revision($0, of: name, version) }
        guard let back = revisions.first(where: { $0.hash == stable }) ?? revisions.max(by: { $0.number < $1.number })
        else {
            throw GateError(
                .adapterFailed, "The Rollout \(name) keeps no revision of \(version).",
                next: "Go back by Git or Helm, and then: kubectl argo rollouts promote \(name) -n \(namespace) --full")
        }
        func argo(_ verb: String, _ more: String...) -> [String] {
            ["kubectl", "argo", "rollouts", verb, name, "-n", namespace] + more
        }
        func wait(_ field: String, for value: String, _ limit: String) -> [String] {
            [
                "kubectl", "wait", "--for=jsonpath=.status.\(field)=\(value)", "rollout/\(name)", "-n", namespace,
                "--timeout=\(limit)",
            ]
        }
        // The canary is what is taken back, and the stable side is there still.
        if back.hash == stable {
            guard current != stable else { return [] }
            // The weights are there with traffic routing alone; without it the pods are the traffic.
            let isRouted = status?.at("canary", "weights") != nil
            let stop = status?.at("promoteFull")?.bool == true ? unpromoted(name, namespace) : argo("abort")
            // The weight is 0, too, once the canary has become the stable side: then it is no longer aborted.
            return [stop] + (isRouted ? [wait("canary.weights.canary.weight", for: "0", workMax)] : [])
                + [wait("abort", for: "true", seenMax)]
        }
        // Before the controller has seen the change there is nothing to promote.
        let undone = [
            try undo.filled(values.merging([.toRevision: "\(back.number)"]) { $1 }),
            wait("currentPodHash", for: back.hash, seenMax),
        ]
        return (back.hash == current ? [] : undone)
            + [argo("promote", "--full"), wait("stableRS", for: back.hash, workMax)]
    }

    /// Aborts what `promote --full` has sent on its way: until that is taken off, the controller takes each abort off.
    /// `undo` would copy the stable side's own labels into what is asked for, and so make another revision of it.
    private static func unpromoted(_ name: String, _ namespace: String) -> [String] {
        [
            "kubectl", "patch", "rollout/\(name)", "-n", namespace, "--subresource=status", "--type=merge",
            #"--patch={"status":{"promoteFull":false,"abort":true}}"#,
        ]
    }

    private static func isObject(_ json: JSON, _ kind: String, _ name: String) -> Bool {
        json.at("kind")?.string == kind && json.at("metadata", "name")?.string == name
    }

    /// Nil for what is no revision of that version.
    private static func revision(_ json: JSON, of rollout: String, _ version: String) -> Revision? {
        let labels = json.at("metadata", "labels")
        let owners = json.at("metadata", "ownerReferences")?.array ?? []
        guard json.at("kind")?.string == "ReplicaSet",
            owners.contains(where: { $0.at("kind")?.string == "Rollout" && $0.at("name")?.string == rollout }),
            labels?.at(versionLabel)?.string == version, let hash = labels?.at(hashLabel)?.string,
            let number = json.at("metadata", "annotations", numberAnnotation)?.string.flatMap({ Int($0) })
        else { return nil }
        return Revision(number: number, hash: hash)
    }
}
