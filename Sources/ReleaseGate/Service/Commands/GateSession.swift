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
    /// Whose series count where a Prometheus sees several environments'; nil where nobody says: all.
    var evidenceNamespaces: Namespaces?

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
        let namespace = try settings.optionalString("GOLDEN_GATE_NAMESPACE").map { Namespaces.one($0) }
        let (source, scraping) = try Self.source(configuration)
        let opened = configuration
        func session(_ store: any LineageStore) -> GateSession {
            GateSession(
                configuration: opened, source: source, scrape: scraping,
                book: LineageBook(store: store, notifier: notifier), console: console, clock: clock, actor: actor,
                webhook: webhook, evidenceNamespaces: namespace ?? opened.writtenNamespaces)
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

    /// - Parameter environment: whose evidence counts; nil where it is not asked for, and one namespace or all count.
    /// - Throws: `invalid` when `gate.yaml` names namespaces, and none of the environment.
    func collector(
        in environment: DeployEnvironment?, lookSeconds: Int? = nil
    ) throws(GateError) -> EvidenceCollector {
        EvidenceCollector(
            source: try evidence(of: environment), policy: configuration.policy, sides: configuration.sides,
            signals: configuration.signals, lookSeconds: lookSeconds ?? configuration.lookSeconds)
    }

    private func evidence(of environment: DeployEnvironment?) throws(GateError) -> any EvidenceSource {
        guard let prometheus = source as? PrometheusSource else { return source }
        switch evidenceNamespaces {
        case .one(let name)?: return prometheus.within(namespace: name)
        case .byEnvironment?:
            guard let environment else { return source }
            return prometheus.within(namespace: try configuration.namespace(of: environment))
        case nil: return source
        }
    }

    /// - Parameters:
    ///   - entries: of the lineage, for what the release replaces.
    ///   - isArmed: false shows commands and runs none.
    ///   - supersedes: begins although another version's walk is open there.
    func walk(
        _ release: ReleaseFile, _ environment: DeployEnvironment, by entries: [LineageEntry], isArmed: Bool,
        supersedes: Bool
    ) throws(GateError) -> CanaryWalk {
        CanaryWalk(
            release: release, schema: schema(of: release, in: environment, by: entries), environment: environment,
            policy: configuration.policy, collector: try collector(in: environment), book: book,
            runner: try runner(isArmed: isArmed),
            namespace: try configuration.namespace(of: environment), clock: clock, console: console, actor: actor,
            supersedes: supersedes, beforeLook: { try await look(at: $0) })
    }

    /// Whether the version before can still run: by what `release.yaml` says, and by the matrix. The version before is
    /// where the way back leads (`Lineage.wayBack`).
    func schema(
        of release: ReleaseFile, in environment: DeployEnvironment, by entries: [LineageEntry]
    ) -> SchemaState {
        guard release.schema == .compatible, let matrix = configuration.compatibility else { return release.schema }
        let version = release.train.version
        let previous = Lineage.wayBack(from: version, said: release.previousVersion, in: environment, by: entries)
        return matrix.schema(of: version, after: previous)
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
