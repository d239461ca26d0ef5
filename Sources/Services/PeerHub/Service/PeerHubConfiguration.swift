package import Bootstrap
package import NATS
package import Postgres

/// Everything a peer hub is told from outside, read once.
///
/// Keys: `GOLDEN_POSTGRES_URL`, `GOLDEN_NATS_URL`, `GOLDEN_NATS_USER`, `GOLDEN_NATS_PASSWORD`,
/// `GOLDEN_NATS_CREDENTIALS`, `GOLDEN_NATS_CA`, `GOLDEN_NATS_REPLICAS`, `GOLDEN_HTTP_HOST`, `GOLDEN_HTTP_PORT`,
/// `GOLDEN_POOL_SIZE`. Each may be given as `<KEY>_FILE` instead.
package struct PeerHubConfiguration: Sendable {
    package var postgres: PostgresConfiguration
    package var nats: NATSConfiguration
    package var natsReplicas: Int
    package var httpHost: String
    package var httpPort: Int

    package init(_ settings: ServiceConfiguration) throws {
        postgres = PostgresConfiguration(
            connectionString: try settings.url("GOLDEN_POSTGRES_URL"), applicationName: "golden-peer-hub"
        )
        postgres.maxConnections = try settings.int("GOLDEN_POOL_SIZE", default: 4, in: 2...64)
        nats = try Self.nats(settings)
        natsReplicas = try settings.int("GOLDEN_NATS_REPLICAS", default: 1, in: 1...5)
        httpHost = try settings.string("GOLDEN_HTTP_HOST", default: "127.0.0.1")
        httpPort = try settings.int("GOLDEN_HTTP_PORT", default: 8081, in: 0...65_535)
    }

    private static func nats(_ settings: ServiceConfiguration) throws -> NATSConfiguration {
        let servers = try settings.list("GOLDEN_NATS_URL", default: "nats://127.0.0.1:4222")
        var nats = NATSConfiguration(servers: servers, name: "golden-peer-hub")
        if let file = try settings.optionalString("GOLDEN_NATS_CREDENTIALS") {
            nats.credentials = .credentialsFile(path: file)
        } else if let user = try settings.optionalString("GOLDEN_NATS_USER") {
            nats.credentials = .userPassword(user: user, password: try settings.secret("GOLDEN_NATS_PASSWORD"))
        }
        if let authority = try settings.optionalString("GOLDEN_NATS_CA") { nats.tls = NATSTLS(caFile: authority) }
        return nats
    }
}
