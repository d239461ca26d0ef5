internal import Contracts
internal import ReleaseGateCore

/// Which images run, as a cluster says it: `kubectl get pods -o json`.
package enum RunningImages {
    private static let podsMax = 10_000
    private static let componentLabel = "app.kubernetes.io/component"

    /// Digests by service, which is the pods' component; several where a service runs more than one.
    ///
    /// - Throws: `invalid` for anything else than pods.
    package static func read(_ text: String, from path: String) throws(GateError) -> [String: Set<String>] {
        var running: [String: Set<String>] = [:]
        do {
            var reader = try JSONReader(try JSON(parsing: text.utf8))
            guard let pods = try reader.optionalObjects("items", atMost: podsMax) else {
                throw reader.error("items", "is required")
            }
            for var pod in pods {
                var metadata = try JSONReader(try pod.required("metadata"), path: "metadata")
                let labels = metadata.optional("labels")?.fields ?? []
                guard let service = labels.first(where: { $0.name == componentLabel })?.value.string else { continue }
                var status = try JSONReader(try pod.required("status"), path: "status")
                for var container in try status.optionalObjects("containerStatuses", atMost: 100) ?? [] {
                    // docker-pullable://registry/name@sha256:…
                    let image = try container.string("imageID")
                    guard let digest = image.firstRange(of: "sha256:") else { continue }
                    running[service, default: []].insert(String(image[digest.lowerBound...]))
                }
            }
        } catch {
            throw GateError(
                .invalid, "\(path) does not say which pods run.", next: "kubectl get pods -n NAMESPACE -o json",
                underlying: error)
        }
        return running
    }
}

extension GateSession {
    /// Compares what runs with what was promoted.
    ///
    /// - Parameter path: the cluster's answer; `-` is standard input.
    /// - Returns: the exit code: 0 when nothing differs, 10 when something does.
    package func drift(_ release: ReleaseFile, running path: String) throws -> Int32 {
        let text = try GateFiles.text(path == "-" ? "/dev/stdin" : path)
        let running = try RunningImages.read(text, from: path)
        var drift = release.train.drift(running: running.compactMapValues { $0.count == 1 ? $0.first : nil })
        let mixed = running.filter { $0.value.count > 1 }.keys.sorted()
        drift.removeAll { line in mixed.contains { line == "\($0) does not run" } }
        for service in mixed where release.train.cars.contains(where: { $0.service == service }) {
            drift.append("\(service) runs several images: \((running[service] ?? []).sorted().joined(separator: ", "))")
        }
        for line in drift { console.print(line) }
        let count = release.train.cars.count
        console.print(drift.isEmpty ? "\(count) services run what was promoted." : "\(drift.count) differ.")
        return drift.isEmpty ? 0 : 10
    }
}
