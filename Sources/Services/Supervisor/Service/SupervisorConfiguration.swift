package import Bootstrap
package import MessageBus
package import Postgres
package import Storage

/// Everything a supervisor is told from outside, read once.
///
/// Keys besides those of `BusSettings`: `GOLDEN_POSTGRES_URL`, `GOLDEN_HTTP_HOST`, `GOLDEN_HTTP_PORT`,
/// `GOLDEN_POOL_SIZE`, `GOLDEN_SUPERVISOR_AUTOMATIC_MAX`, `GOLDEN_SUPERVISOR_ANALYST_SECONDS`,
/// `GOLDEN_SUPERVISOR_WARNING_SECONDS`, `GOLDEN_SUPERVISOR_CRITICAL_SECONDS`. Each may be given as `<KEY>_FILE`
/// instead.
package struct SupervisorConfiguration: Sendable {
    package var postgres: PostgresConfiguration
    package var bus: BusSettings
    package var httpHost: String
    package var httpPort: Int
    package var handover: Handover
    /// Resolutions of one task without a human.
    package var automaticMax: Int
    package var times = SupervisionTimes()

    package init(_ settings: ServiceConfiguration) throws {
        postgres = PostgresConfiguration(
            connectionString: try settings.url("GOLDEN_POSTGRES_URL"), applicationName: "golden-supervisor"
        )
        postgres.maxConnections = try settings.int("GOLDEN_POOL_SIZE", default: 4, in: 2...64)
        bus = try BusSettings(settings, name: "golden-supervisor")
        httpHost = try settings.string("GOLDEN_HTTP_HOST", default: "127.0.0.1")
        httpPort = try settings.int("GOLDEN_HTTP_PORT", default: 8082, in: 0...65_535)
        handover = try Handover(settings)
        automaticMax = try settings.int("GOLDEN_SUPERVISOR_AUTOMATIC_MAX", default: 2, in: 0...10)
        times.analystSeconds = Double(
            try settings.int("GOLDEN_SUPERVISOR_ANALYST_SECONDS", default: 120, in: 1...3600))
        let warning = try settings.int("GOLDEN_SUPERVISOR_WARNING_SECONDS", default: 3600, in: 1...604_800)
        let critical = try settings.int("GOLDEN_SUPERVISOR_CRITICAL_SECONDS", default: 86_400, in: 1...604_800)
        guard warning <= critical else {
            throw settings.invalid("GOLDEN_SUPERVISOR_CRITICAL_SECONDS", "must not come before the warning")
        }
        times.warningSeconds = Double(warning)
        times.criticalSeconds = Double(critical)
    }
}
