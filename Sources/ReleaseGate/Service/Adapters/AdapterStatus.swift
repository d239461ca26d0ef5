package import Contracts
internal import ReleaseGateCore

/// Reads out of what a preset's tool says of its release whether an action was carried out: asked when the gate died
/// between running and recording. Pure.
package enum AdapterStatus {
    /// Whose JSON it is.
    package enum Form: Sendable, Equatable, CaseIterable {
        /// `kubectl get rollout/… deployment/… -o json`
        case rollout
        /// `kubectl get deployment/… -o json`
        case deployment
        /// `helm history … -o json`
        case helm
        /// `argocd app get … -o json`
        case argo
    }

    package enum Answer: Sendable, Equatable {
        case done, notDone
        /// Somebody must look.
        case unknown(String)
    }

    package static func judge(
        _ form: Form, _ action: Adapter.Action, _ values: [CommandTemplate.Place: String], _ json: JSON
    ) -> Answer {
        switch form {
        case .rollout: rollout(action, values, json)
        case .deployment: images(of: [json], values)
        case .helm: helm(action, values, json)
        case .argo: argo(action, values, json)
        }
    }

    private static func rollout(
        _ action: Adapter.Action, _ values: [CommandTemplate.Place: String], _ json: JSON
    ) -> Answer {
        let items = json.at("items")?.array ?? [json]
        guard let rollout = items.first(where: { $0.at("kind")?.string == "Rollout" }) else {
            return .unknown("there is no such Rollout")
        }
        // It keeps the number as a text.
        let seen = rollout.at("status", "observedGeneration").map { $0.string ?? $0.text }
        guard let seen, seen == rollout.at("metadata", "generation")?.text else {
            return .unknown("its newest change was not looked at yet")
        }
        let isAborted = rollout.at("status", "abort")?.bool == true
        let steps = rollout.at("spec", "strategy", "canary", "steps")?.array ?? []
        let index = rollout.at("status", "currentStepIndex")?.int ?? 0
        let isThrough = index >= steps.count || rollout.at("status", "promoteFull")?.bool == true
        switch action {
        case .abort: return isAborted ? .done : .notDone
        case .advance, .promote:
            if isAborted { return .unknown("it was aborted") }
            if isThrough { return .done }
            guard action == .advance, let wanted = values[.weight].flatMap({ Int($0) }) else { return .notDone }
            let reached = steps.prefix(index).compactMap { $0.at("setWeight")?.int }.last ?? 0
            return reached >= wanted ? .done : .notDone
        // Its way back looks by itself how far it got.
        case .rollback: return .notDone
        case .uninstall, .verify, .open: return .unknown("it is not told by a Rollout")
        }
    }

    /// Back is what no longer names the release's image.
    private static func images(of objects: [JSON], _ values: [CommandTemplate.Place: String]) -> Answer {
        let containers = objects.flatMap { $0.at("spec", "template", "spec", "containers")?.array ?? [] }
        let images = containers.compactMap { $0.at("image")?.string }.filter { $0.contains("@sha256:") }
        guard !images.isEmpty, let digest = values[.digest] else { return .unknown("no image is named by its digest") }
        return images.contains { $0.hasSuffix("@\(digest)") } ? .notDone : .done
    }

    private static func helm(
        _ action: Adapter.Action, _ values: [CommandTemplate.Place: String], _ json: JSON
    ) -> Answer {
        let revisions = (json.array ?? []).sorted { $0.at("revision")?.int ?? 0 < $1.at("revision")?.int ?? 0 }
        guard let last = revisions.last, let status = last.at("status")?.string else {
            return .unknown("Helm knows no such release")
        }
        if status.hasPrefix("pending") || status == "uninstalling" {
            return .unknown("Helm stopped half way: \(status)")
        }
        let description = last.at("description")?.string ?? ""
        let isBack = description.hasPrefix("Rollback to ")
        switch action {
        case .promote:
            guard let version = values[.version], !isBack, status == "deployed" else { return .notDone }
            return last.at("chart")?.string?.hasSuffix("-\(version)") == true ? .done : .notDone
        case .rollback, .abort:
            guard let revision = values[.previousRevision] else { return .unknown("no previousRevision is known") }
            return status == "deployed" && description == "Rollback to \(revision)" ? .done : .notDone
        case .uninstall: return status == "uninstalled" ? .done : .notDone
        case .advance, .verify, .open: return .unknown("it is not told by Helm's history")
        }
    }

    private static func argo(
        _ action: Adapter.Action, _ values: [CommandTemplate.Place: String], _ json: JSON
    ) -> Answer {
        guard let status = json.at("status") else { return .unknown("there is no such application") }
        let phase = status.at("operationState", "phase")?.string
        if phase == "Running" || phase == "Terminating" { return .unknown("an operation is under way") }
        switch action {
        case .promote:
            let isThere = status.at("sync", "revision")?.string == values[.version]
            return isThere && status.at("sync", "status")?.string == "Synced" ? .done : .notDone
        case .rollback, .abort:
            let entry = (status.at("history")?.array ?? []).first { $0.at("id")?.text == values[.previousRevision] }
            guard let wanted = entry?.at("revision")?.string else {
                return .unknown("its history has no previousRevision")
            }
            let isThere = status.at("operationState", "syncResult", "revision")?.string == wanted
            return isThere && phase == "Succeeded" ? .done : .notDone
        case .advance, .uninstall, .verify, .open: return .unknown("it is not told by Argo CD")
        }
    }
}
