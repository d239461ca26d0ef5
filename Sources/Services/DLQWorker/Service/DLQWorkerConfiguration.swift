package import Bootstrap
internal import DLQWorkerCore
package import MessageBus
package import Postgres
package import Redis

/// Everything a dlq-worker is told from outside, read once.
///
/// Keys besides those of `BusSettings`: `GOLDEN_POSTGRES_URL`, `GOLDEN_REDIS_URL`, `GOLDEN_REDIS_CA`,
/// `GOLDEN_HTTP_HOST`, `GOLDEN_HTTP_PORT`, `GOLDEN_POOL_SIZE`, `GOLDEN_DLQ_ALERTMANAGER` (base URL),
/// `GOLDEN_DLQ_WEBHOOK` (URL, secret), `GOLDEN_DLQ_WARNING`, `GOLDEN_DLQ_CRITICAL`, `GOLDEN_DLQ_ARCHIVE` (folder),
/// `GOLDEN_DLQ_KEEP_DAYS`, `GOLDEN_DLQ_ANSWER_SECONDS`. Each may be given as `<KEY>_FILE` instead.
package struct DLQWorkerConfiguration: Sendable {
    package var postgres: PostgresConfiguration
    package var bus: BusSettings
    /// Shares the sinks' circuit breakers with other workers; without, each is alone.
    package var redis: RedisConfiguration?
    package var httpHost: String
    package var httpPort: Int
    package var handover: Handover
    package var alertmanager: String?
    /// Secret: whoever knows it may post.
    package var webhook: String?
    var thresholds: AlertBook.Thresholds
    package var archive: String?
    package var keep: Duration
    package var answerAfter: Duration

    package init(_ settings: ServiceConfiguration) throws {
        postgres = PostgresConfiguration(
            connectionString: try settings.url("GOLDEN_POSTGRES_URL"), applicationName: "golden-dlq-worker"
        )
        postgres.maxConnections = try settings.int("GOLDEN_POOL_SIZE", default: 3, in: 2...64)
        bus = try BusSettings(settings, name: "golden-dlq-worker")
        if let url = try settings.optionalURL("GOLDEN_REDIS_URL") {
            let authority = try settings.optionalString("GOLDEN_REDIS_CA")
            redis = RedisConfiguration(url: url, authorityFile: authority)
            if redis == nil { throw settings.invalid("GOLDEN_REDIS_URL", "must be redis:// or rediss:// with a host") }
        }
        httpHost = try settings.string("GOLDEN_HTTP_HOST", default: "127.0.0.1")
        httpPort = try settings.int("GOLDEN_HTTP_PORT", default: 8084, in: 0...65_535)
        handover = try Handover(settings)
        alertmanager = try settings.optionalURL("GOLDEN_DLQ_ALERTMANAGER")
        webhook = try settings.optionalSecret("GOLDEN_DLQ_WEBHOOK")
        let warning = try settings.int("GOLDEN_DLQ_WARNING", default: 10, in: 0...1_000_000)
        thresholds = AlertBook.Thresholds(
            warning: warning, critical: try settings.int("GOLDEN_DLQ_CRITICAL", default: 100, in: warning...10_000_000))
        archive = try settings.optionalString("GOLDEN_DLQ_ARCHIVE")
        keep = .seconds(86_400 * (try settings.int("GOLDEN_DLQ_KEEP_DAYS", default: 30, in: 1...3650)))
        answerAfter = try settings.seconds("GOLDEN_DLQ_ANSWER_SECONDS", default: AnswerPolicy.minAge, in: 1...86_400)
    }
}
