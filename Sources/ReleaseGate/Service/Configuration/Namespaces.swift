package import ReleaseGateCore

/// Where releases are in the cluster: a namespace for each environment, so that no command for one acts on another; or
/// one for all, where each environment is a cluster of its own.
package enum Namespaces: Sendable, Equatable {
    case one(String)
    case byEnvironment([DeployEnvironment: String])

    /// The usual one of each environment.
    package static let standard = Namespaces.byEnvironment(
        Dictionary(uniqueKeysWithValues: DeployEnvironment.allCases.map { ($0, usual($0)) }))

    /// As `k8s/environments` has it.
    package static func usual(_ environment: DeployEnvironment) -> String {
        switch environment {
        case .dev: "golden-architecture-dev"
        case .staging: "golden-architecture-staging"
        case .prod: "golden-architecture"
        }
    }

    /// Nil where none is named.
    package subscript(environment: DeployEnvironment) -> String? {
        switch self {
        case .one(let name): name
        case .byEnvironment(let names): names[environment]
        }
    }
}

extension Namespaces: Decodable {
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        do { self = .one(try container.decode(String.self)) } catch DecodingError.typeMismatch {
            var names: [DeployEnvironment: String] = [:]
            for (word, name) in try container.decode([String: String].self) {
                guard let environment = DeployEnvironment(rawValue: word) else {
                    throw DecodingError.dataCorruptedError(
                        in: container, debugDescription: "\(word) is no environment")
                }
                names[environment] = name
            }
            self = .byEnvironment(names)
        }
    }
}

extension GateConfiguration {
    /// - Throws: `invalid` when the file names none for the environment: nothing may be run there.
    package func namespace(of environment: DeployEnvironment) throws(GateError) -> String {
        if let name = namespaces[environment] { return name }
        throw GateError(
            .invalid, "gate.yaml names no namespace of \(environment.rawValue): nothing is run there.",
            next: "namespace: {\(environment.rawValue): NAME, …} (docs/releasing.md).")
    }
}
