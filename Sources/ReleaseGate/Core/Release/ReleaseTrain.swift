/// Several services that are released together under one version.
package struct ReleaseTrain: Sendable, Equatable, Codable {
    package struct Car: Sendable, Equatable, Codable {
        package let service: String
        package let image: ArtifactDigest
        /// Services of the train that must run before this one does.
        package let dependsOn: [String]

        package init(service: String, image: ArtifactDigest, dependsOn: [String] = []) {
            self.service = service
            self.image = image
            self.dependsOn = dependsOn
        }
    }

    package let version: Version
    package let chart: ArtifactDigest
    /// The manifests as rendered for the environment.
    package let manifests: ArtifactDigest
    package let cars: [Car]

    package init(version: Version, chart: ArtifactDigest, manifests: ArtifactDigest, cars: [Car]) {
        self.version = version
        self.chart = chart
        self.manifests = manifests
        self.cars = cars
    }

    /// Chart, images, manifests: what a promotion, an approval and a certificate are bound to.
    package var digests: [ArtifactDigest] { [chart] + cars.map(\.image) + [manifests] }
}
