extension ReleaseTrain {
    package enum OrderError: Error, Equatable, CustomStringConvertible {
        /// These wait for each other.
        case cycle([String])
        case unknown(service: String, dependency: String)

        package var description: String {
            switch self {
            case .cycle(let services): "these services wait for each other: \(services.joined(separator: ", "))"
            case .unknown(let service, let dependency): "\(service) waits for \(dependency), which is not in the train"
            }
        }
    }

    /// One after the other, what is depended on first; by name where nothing else decides.
    package func deployOrder() throws(OrderError) -> [String] {
        let names = Set(cars.map(\.service))
        for car in cars {
            if let stranger = car.dependsOn.first(where: { !names.contains($0) }) {
                throw .unknown(service: car.service, dependency: stranger)
            }
        }
        var waiting = Dictionary(cars.map { ($0.service, Set($0.dependsOn)) }) { $0.union($1) }
        var order: [String] = []
        while !waiting.isEmpty {
            guard let next = waiting.filter({ $0.value.isEmpty }).keys.min() else {
                throw .cycle(waiting.keys.sorted())
            }
            order.append(next)
            waiting[next] = nil
            for service in waiting.keys { waiting[service]?.remove(next) }
        }
        return order
    }

    /// Back one after the other, and what depends on others first: nothing ever calls a version older than it knows.
    package func rollbackOrder() throws(OrderError) -> [String] { try deployOrder().reversed() }

    /// What runs otherwise than was promoted, in words; empty when nothing does.
    ///
    /// - Parameter running: digests of the running images by service.
    package func drift(running: [String: String]) -> [String] {
        cars.sorted { $0.service < $1.service }.compactMap { car in
            guard let digest = running[car.service] else { return "\(car.service) does not run" }
            let hex = digest.hasPrefix("sha256:") ? String(digest.dropFirst(7)) : digest
            return hex == car.image.sha256 ? nil : "\(car.service) runs \(hex), promoted was \(car.image.sha256)"
        }
    }

    /// What is the same in every environment: the manifests are rendered for each.
    package var artifacts: [ArtifactDigest] { [chart] + cars.map(\.image) }
}
