package import Bootstrap
package import NATS

/// Where the bus is and how its streams are kept: what every program on it is told, and told alike.
///
/// Keys: `GOLDEN_NATS_URL`, `GOLDEN_NATS_USER`, `GOLDEN_NATS_PASSWORD`, `GOLDEN_NATS_CREDENTIALS`, `GOLDEN_NATS_CA`,
/// `GOLDEN_NATS_REPLICAS`, `GOLDEN_NATS_STORAGE`, `GOLDEN_OTLP_ENDPOINT`. Each may be given as `<KEY>_FILE` instead.
package struct BusSettings: Sendable {
    /// The smallest stream still holds one message of the largest size.
    package static let storageRange: ClosedRange<Int> = (BusConfiguration.storageShares * 4 << 20)...(1 << 50)

    package var connection: NATSConfiguration
    package var streams: BusConfiguration

    /// - Parameter name: shown in the server's list of connections.
    /// - Parameter ownsStreams: false for agents, which wait for streams instead of making them.
    /// - Throws: `BootstrapError` naming the setting.
    package init(_ settings: ServiceConfiguration, name: String, ownsStreams: Bool = true) throws {
        connection = NATSConfiguration(
            servers: try settings.list("GOLDEN_NATS_URL", default: "nats://127.0.0.1:4222"), name: name)
        if let file = try settings.optionalString("GOLDEN_NATS_CREDENTIALS") {
            connection.credentials = .credentialsFile(path: file)
        } else if let user = try settings.optionalString("GOLDEN_NATS_USER") {
            connection.credentials = .userPassword(
                user: user, password: try settings.secret("GOLDEN_NATS_PASSWORD"))
        }
        if let authority = try settings.optionalString("GOLDEN_NATS_CA") {
            connection.tls = NATSTLS(caFile: authority)
        }
        streams = BusConfiguration(
            replicas: try settings.int("GOLDEN_NATS_REPLICAS", default: 1, in: 1...5),
            storageBytesMax: try settings.bytes("GOLDEN_NATS_STORAGE", default: "1GiB", in: Self.storageRange),
            ownsStreams: ownsStreams
        )
        streams.tracer = try Tracer(settings, service: String(name.trimmingPrefix("golden-")))
    }

    package init(connection: NATSConfiguration, streams: BusConfiguration = BusConfiguration()) {
        self.connection = connection
        self.streams = streams
    }
}
