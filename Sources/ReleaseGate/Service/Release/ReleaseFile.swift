internal import Contracts
internal import FoundationEssentials
package import ReleaseGateCore

/// `release.yaml`: what is released. docs/releasing.md explains every field.
package struct ReleaseFile: Sendable {
    package let train: ReleaseTrain
    /// The chart's and the Helm release's name.
    package let name: String
    /// Where Helm takes the chart from: `oci://registry/golden`.
    package let chartSource: String?
    /// The commit that is released, in full.
    package let commit: String?
    package let schema: SchemaState
    /// What runs now, and what a rollback brings back.
    package private(set) var previousVersion: Version?
    /// Helm's or Argo CD's, of `previousVersion`; nil where nobody knows it.
    package private(set) var previousRevision: String?
    package let revision: String?
    /// Records of what was done before: files of `Precondition`, in JSON or YAML.
    package let preconditions: [Precondition]
    /// Files, or folders of files, that say where images and chart come from.
    package let attestations: [String]
    /// What each service's Deployment is called in the cluster.
    package let objects: [String: String]
    /// The services whose Deployment a Rollout stands over.
    package let rollouts: Set<String>
    package let isHotfix: Bool
    /// For the first release into production.
    package let isGoLive: Bool

    private struct File: Decodable {
        struct Service: Decodable {
            let name: String
            let image: String
            let dependsOn: [String]?
            let object: String?
            let canary: Bool?
        }

        let name: String
        let version: Version
        let chart: String
        let chartSource: String?
        let commit: String?
        let manifests: String
        let services: [Service]
        let schema: SchemaState?
        let previousVersion: Version?
        let previousRevision: String?
        let revision: String?
        let preconditions: [String]?
        let attestations: [String]?
        let hotfix: Bool?
        let goLive: Bool?
    }

    package init(file path: String) throws(GateError) {
        let file: File = try GateConfiguration.decode(try YAMLDocument.one(in: path), from: path)
        var cars: [ReleaseTrain.Car] = []
        for service in file.services {
            let image = try Self.pinned(service.image, from: path)
            cars.append(ReleaseTrain.Car(service: service.name, image: image, dependsOn: service.dependsOn ?? []))
        }
        guard let chart = ArtifactDigest(name: "chart", sha256: file.chart),
            let manifests = ArtifactDigest(name: "manifests", sha256: file.manifests)
        else { throw GateError(.invalid, "\(path): chart and manifests must be sha256:<64 hexadecimal digits>.") }
        train = ReleaseTrain(version: file.version, chart: chart, manifests: manifests, cars: cars)
        name = file.name
        objects = Dictionary(file.services.map { ($0.name, $0.object ?? "\(file.name)-\($0.name)") }) { $1 }
        rollouts = Set(file.services.filter { $0.canary == true }.map(\.name))
        chartSource = file.chartSource
        commit = file.commit
        schema = file.schema ?? .compatible
        previousVersion = file.previousVersion
        previousRevision = file.previousRevision
        revision = file.revision
        isHotfix = file.hotfix ?? false
        isGoLive = file.goLive ?? false
        let folder = GateConfiguration.folder(of: path)
        attestations = (file.attestations ?? []).map { GateConfiguration.join(folder, $0) }
        var records: [Precondition] = []
        for place in file.preconditions ?? [] {
            let place = GateConfiguration.join(folder, place)
            for json in try YAMLDocument.all(in: place) {
                records.append(try GateConfiguration.decode(json, from: place))
            }
        }
        preconditions = records
    }

    /// The same, whose way back is the one that the lineage knows (`Lineage.wayBack`). The file's revision is that of
    /// the file's version, and of no other.
    func replacing(in environment: DeployEnvironment, by entries: [LineageEntry]) -> ReleaseFile {
        var release = self
        release.previousVersion = Lineage.wayBack(
            from: train.version, said: previousVersion, in: environment, by: entries)
        if release.previousVersion != previousVersion { release.previousRevision = nil }
        return release
    }

    /// No tag says what runs: `repository@sha256:…`, or with a tag before it.
    static func pinned(_ image: String, from path: String) throws(GateError) -> ArtifactDigest {
        let halves = image.split(separator: "@", omittingEmptySubsequences: false)
        guard halves.count == 2, halves[1].hasPrefix("sha256:"),
            let digest = ArtifactDigest(name: repository(halves[0]), sha256: String(halves[1]))
        else {
            throw GateError(
                .refused, "\(path): \(image) is not pinned by its digest.",
                next: "Write repository@sha256:<digest>; a tag can be moved.")
        }
        return digest
    }

    /// Without a tag: a colon after the last slash begins one, one before it is a port.
    static func repository(_ name: Substring) -> String {
        let slash = name.lastIndex(of: "/") ?? name.startIndex
        guard let colon = name[slash...].firstIndex(of: ":") else { return String(name) }
        return String(name[..<colon])
    }
}

/// What is approved and promoted: the same for whoever works it out from the same files.
package struct ReleasePlan: Sendable, Equatable, Codable {
    package let train: ReleaseTrain
    package let environment: DeployEnvironment
    package let policySHA256: String
    package let schema: SchemaState
    package let rollbackTo: Version?

    package init(_ release: ReleaseFile, _ environment: DeployEnvironment, _ policy: GatePolicy) throws {
        train = release.train
        self.environment = environment
        policySHA256 = try Canonical.digest(policy).hexadecimal
        schema = release.schema
        rollbackTo = release.previousVersion
    }

    package func bytes() throws -> [UInt8] { try Canonical.bytes(self) }
    package func sha256() throws -> String { try Canonical.digest(self).hexadecimal }
}
