package import Bootstrap
internal import Contracts
internal import Foundation
package import Logging
internal import Postgres
internal import ReleaseGateCore
internal import Storage

/// What every command works with: the configuration, where evidence comes from, the lineage, the clock, the terminal.
package struct GateSession: Sendable {
    package let configuration: GateConfiguration
    package let source: any EvidenceSource
    /// The same, when the gate scrapes by itself.
    package let scrape: ScrapeSource?
    package let book: LineageBook
    package let console: Console
    package let clock: GateClock
    /// Who does it, for the lineage.
    package let actor: String
    let webhook: String?

    /// Opens what `gate.yaml` names, runs `body`, and closes it.
    ///
    /// - Parameter scrape: targets to scrape instead of the source that the file names.
    package static func with<Result: Sendable>(
        file path: String, scrape: [String] = [], settings: ServiceConfiguration, logger: Logger,
        clock: GateClock = .system,
        console: Console = Console(), _ body: @Sendable @escaping (GateSession) async throws -> Result
    ) async throws -> Result {
        var configuration = try GateConfiguration(file: path)
        if !scrape.isEmpty { configuration.source = GateConfiguration.Source(scrape: scrape) }
        let actor = try settings.string("GOLDEN_GATE_ACTOR", default: NSUserName())
        let webhook = try settings.optionalSecret("GOLDEN_GATE_WEBHOOK")
        let notifier = try settings.optionalSecret("GOLDEN_GATE_NOTIFY").map { Notifier(url: $0, console: console) }
        let (source, scraping) = try Self.source(configuration)
        let opened = configuration
        func session(_ store: any LineageStore) -> GateSession {
            GateSession(
                configuration: opened, source: source, scrape: scraping,
                book: LineageBook(store: store, notifier: notifier), console: console, clock: clock, actor: actor,
                webhook: webhook)
        }
        guard configuration.lineage == "postgres" else {
            return try await body(session(FolderLineage(folder: configuration.lineage)))
        }
        var postgres = PostgresConfiguration(
            connectionString: try settings.url("GOLDEN_POSTGRES_URL"), applicationName: "release-gate")
        postgres.maxConnections = 2
        let pool = PostgresPool(postgres, logger: logger)
        let lasting = session(PostgresLineage(store: ReleaseStore(pool: pool)))
        return try await pool.serving(within: .seconds(5)) { _ in try await body(lasting) }
    }

    private static func source(
        _ configuration: GateConfiguration
    ) throws(GateError) -> (any EvidenceSource, ScrapeSource?) {
        let token = try configuration.source.tokenFile.map { path throws(GateError) in
            try GateFiles.text(GateConfiguration.join(configuration.folder, path))
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
        if let url = configuration.source.prometheus { return (PrometheusSource(url: url, token: token), nil) }
        if let path = configuration.source.recorded {
            return (try RecordedSource(file: GateConfiguration.join(configuration.folder, path)), nil)
        }
        var targets: [ScrapeTarget] = []
        for text in configuration.source.scrape ?? [] { targets.append(try ScrapeTarget(parsing: text)) }
        let remembered = "\(configuration.state)/samples.json"
        let history =
            GateFiles.exists(remembered) ? try RecordedSource(file: remembered).history : SampleHistory()
        let scrape = ScrapeSource(targets: targets, history: history, token: token)
        return (scrape, scrape)
    }

    /// Scrapes, when the gate does, and remembers it for whoever starts after this process.
    func look(at now: Date) async throws {
        guard let scrape else { return }
        await scrape.scrape(at: now)
        scrape.forget(before: now.addingTimeInterval(-31 * 86_400))
        try GateFiles.makeFolder(configuration.state)
        try GateFiles.replace("\(configuration.state)/samples.json", with: scrape.history.json.bytes)
    }

    func collector(lookSeconds: Int? = nil) -> EvidenceCollector {
        EvidenceCollector(
            source: source, policy: configuration.policy, sides: configuration.sides,
            signals: configuration.signals, lookSeconds: lookSeconds ?? configuration.lookSeconds)
    }

    /// - Parameter isArmed: false shows commands and runs none.
    func walk(_ release: ReleaseFile, _ environment: DeployEnvironment, isArmed: Bool) throws(GateError) -> CanaryWalk {
        CanaryWalk(
            release: release, schema: schema(of: release), environment: environment, policy: configuration.policy,
            collector: collector(), book: book, runner: try runner(isArmed: isArmed),
            namespace: configuration.namespace, clock: clock, console: console, actor: actor,
            beforeLook: { try await look(at: $0) })
    }

    /// Whether the version before can still run: by what `release.yaml` says, and by the matrix.
    func schema(of release: ReleaseFile) -> SchemaState {
        guard release.schema == .compatible, let matrix = configuration.compatibility else { return release.schema }
        return matrix.schema(of: release.train.version, after: release.previousVersion)
    }

    func runner(isArmed: Bool) throws(GateError) -> AdapterRunner {
        AdapterRunner(
            adapter: try Adapter(configuration.adapters), webhook: webhook, console: console, isArmed: isArmed)
    }

    static func environment(_ name: String) throws(GateError) -> DeployEnvironment {
        guard let environment = DeployEnvironment(rawValue: name) else {
            let known = DeployEnvironment.allCases.map(\.rawValue).joined(separator: ", ")
            throw GateError(.invalid, "\(name) is no environment.", next: "There are \(known).")
        }
        return environment
    }

    var nowSeconds: Int { Int(clock.now().timeIntervalSince1970) }
}
