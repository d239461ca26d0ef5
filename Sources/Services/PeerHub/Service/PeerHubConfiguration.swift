package import Bootstrap
package import MessageBus
package import Postgres

/// Everything a peer hub is told from outside, read once.
///
/// Keys: `GOLDEN_POSTGRES_URL`, `GOLDEN_HTTP_HOST`, `GOLDEN_HTTP_PORT`, `GOLDEN_POOL_SIZE`, besides those of
/// `BusSettings`. Each may be given as `<KEY>_FILE` instead.
package struct PeerHubConfiguration: Sendable {
    package var postgres: PostgresConfiguration
    package var bus: BusSettings
    package var httpHost: String
    package var httpPort: Int
    package var handover: Handover

    package init(_ settings: ServiceConfiguration) throws {
        postgres = PostgresConfiguration(
            connectionString: try settings.url("GOLDEN_POSTGRES_URL"), applicationName: "golden-peer-hub"
        )
        postgres.maxConnections = try settings.int("GOLDEN_POOL_SIZE", default: 4, in: 2...64)
        bus = try BusSettings(settings, name: "golden-peer-hub")
        httpHost = try settings.string("GOLDEN_HTTP_HOST", default: "127.0.0.1")
        httpPort = try settings.int("GOLDEN_HTTP_PORT", default: 8081, in: 0...65_535)
        handover = try Handover(settings)
    }
}
