package import Contracts
internal import FoundationEssentials
package import ReleaseGateCore

/// `gate.yaml`: what the gate watches and by which rules, read once. docs/releasing.md explains every field.
package struct GateConfiguration: Sendable {
    /// Labels that tell the two sides of a release apart.
    package struct Sides: Sendable, Codable {
        package var canary: [String: String] = ["track": "canary"]
        package var stable: [String: String] = ["track": "stable"]

        package init() {}
    }

    /// Where evidence comes from: exactly one of the first three.
    package struct Source: Sendable, Codable {
        package var prometheus: String?
        package var scrape: [String]?
        package var recorded: String?
        /// A file with the bearer token for it.
        package var tokenFile: String?
    }

    /// A key that may approve, and in which role.
    package struct TrustedKey: Sendable, Codable {
        package let file: String
        package let role: Approval.Role
        package let signer: String
    }

    /// Selectors of gauges beside the objectives.
    package struct Signals: Sendable, Codable {
        package var breakers: String?
        package var deadLetters: String?
        package var outOfMemoryKills: String?

        package init() {}
    }

    /// Who may say where images and charts come from.
    package struct SupplyChain: Sendable, Codable {
        package struct Builder: Sendable, Codable {
            package let file: String
            /// What its provenance calls it, such as a workflow's address.
            package let id: String
        }

        /// Files of the public keys that sign images.
        package let signers: [String]?
        /// Who builds, with the public key that signs its provenance.
        package let builders: [Builder]?
        /// The repository that everything must be built from; any when nil.
        package let source: String?
    }

    package let policy: GatePolicy
    package var source: Source
    package let sides: Sides
    package let signals: Signals
    package let keys: [TrustedKey]
    /// Nil when nobody's: then nothing may be promoted.
    package let supplyChain: SupplyChain?
    /// Which versions may run at the same time; nil when no file is named.
    package let compatibility: CompatibilityMatrix?
    /// Where the lineage is kept: a folder, or `postgres` for GOLDEN_POSTGRES_URL.
    package let lineage: String
    /// Where a walk keeps its place.
    package let state: String
    package let namespaces: Namespaces
    /// Those that the file writes; nil when it writes none.
    package let writtenNamespaces: Namespaces?
    /// Command templates by name.
    package let adapters: [String: [String]]
    package let lookSeconds: Int
    /// The folder that paths in the file are relative to.
    package let folder: String

    private struct File: Decodable {
        var objectives: [String]
        var source: Source
        var sides: Sides?
        var signals: Signals?
        var keys: [TrustedKey]?
        var supplyChain: SupplyChain?
        var compatibility: String?
        var lineage: String?
        var state: String?
        var namespace: Namespaces?
        var adapters: [String: [String]]?
        var steps: [Int]?
        var stepSeconds: Int?
        var extensionsMax: Int?
        var lookSeconds: Int?
    }

    package init(file path: String) throws(GateError) {
        let folder = Self.folder(of: path)
        let file: File = try Self.decode(try YAMLDocument.one(in: path), from: path)
        var objectives: [ServiceLevelObjective] = []
        for place in file.objectives { objectives += try ObjectiveFiles.load(Self.join(folder, place)) }
        policy = GatePolicy(
            objectives: objectives, stepPercents: file.steps ?? GatePolicy.canary,
            stepSeconds: file.stepSeconds ?? 1800, extensionsMax: file.extensionsMax ?? 3)
        source = try Self.one(file.source, path)
        sides = file.sides ?? Sides()
        signals = file.signals ?? Signals()
        keys = file.keys ?? []
        supplyChain = file.supplyChain
        compatibility = try Self.matrix(file.compatibility, folder)
        lineage = Self.join(folder, file.lineage ?? "lineage")
        state = Self.join(folder, file.state ?? "state")
        namespaces = file.namespace ?? .standard
        writtenNamespaces = file.namespace
        adapters = file.adapters ?? [:]
        lookSeconds = file.lookSeconds ?? 30
        self.folder = folder
        guard (1...3600).contains(lookSeconds) else {
            throw GateError(.invalid, "\(path): lookSeconds must be 1 to 3600.")
        }
        if let fault = policy.stepsFault { throw GateError(.invalid, "\(path): \(fault).") }
    }

    /// The public keys that may approve.
    package func trustedKeys() throws(GateError) -> [(key: ReleasePublicKey, trusted: TrustedKey)] {
        var all: [(key: ReleasePublicKey, trusted: TrustedKey)] = []
        for trusted in keys { all.append((try ReleasePublicKey(file: Self.join(folder, trusted.file)), trusted)) }
        return all
    }

    private static func one(_ source: Source, _ path: String) throws(GateError) -> Source {
        guard [source.prometheus != nil, source.scrape != nil, source.recorded != nil].count(where: { $0 }) == 1 else {
            throw GateError(.invalid, "\(path): source needs exactly one of prometheus, scrape and recorded.")
        }
        return source
    }

    private static func matrix(_ place: String?, _ folder: String) throws(GateError) -> CompatibilityMatrix? {
        guard let place else { return nil }
        return try matrix(in: join(folder, place))
    }

    /// A compatibility matrix.
    package static func matrix(in path: String) throws(GateError) -> CompatibilityMatrix {
        try decode(try YAMLDocument.one(in: path), from: path)
    }

    package static func decode<Value: Decodable>(_ json: JSON, from path: String) throws(GateError) -> Value {
        do { return try JSONDecoder().decode(Value.self, from: Data(json.bytes)) } catch {
            throw GateError(.invalid, "\(path): \(Self.words(error))")
        }
    }

    package static func join(_ folder: String, _ path: String) -> String {
        path.hasPrefix("/") || path == "postgres" ? path : "\(folder)/\(path)"
    }

    package static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// A decoder's error in one line that names the field.
    private static func words(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        let (context, what): (DecodingError.Context, String) =
            switch error {
            case .keyNotFound(let key, let context): (context, "\(key.stringValue) is required")
            case .typeMismatch(_, let context): (context, "is of another kind")
            case .valueNotFound(_, let context): (context, "is required")
            case .dataCorrupted(let context): (context, context.debugDescription)
            @unknown default: (DecodingError.Context(codingPath: [], debugDescription: ""), "\(error)")
            }
        let path = context.codingPath.map(\.stringValue).joined(separator: ".")
        return path.isEmpty ? what : "\(path): \(what)"
    }
}
