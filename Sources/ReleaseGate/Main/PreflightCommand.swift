internal import ArgumentParser
internal import Bootstrap
internal import Logging
internal import ReleaseGateService

/// `release-gate preflight`
struct PreflightCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "preflight",
        abstract: "Ask the live stores, certificates and manifests whether a release may go there.",
        discussion: """
            Reads the services' own settings (GOLDEN_POSTGRES_URL, GOLDEN_NATS_URL, GOLDEN_REDIS_URL, \
            GOLDEN_JWT_SECRET, …, each also as KEY_FILE), or what the embedded stack says of itself. Outside of dev, \
            plain connections and weak secrets stand against a release; in dev they are warnings.
            --cluster tells whether the cluster has room for old and new pods at once, --compatibility whether both \
            may run at once. --record writes the precondition that a promotion to prod asks for.
            Exit codes: 0 clear, 10 something failed or could not be asked, 2 invalid.

            EXAMPLES:
              kubectl get nodes,pods,resourcequotas,namespaces -A -o json > cluster.json
              release-gate preflight --env prod --config release/gate.yaml --cluster cluster.json \\
                --manifests manifests.yaml --compatibility release/compatibility.yaml --record preflight.json
              release-gate preflight --env prod --after --service http://golden-orchestrator:8080
              golden status --json --secrets | release-gate preflight --env dev --stack - --migrations migrations
            """)

    @Option(help: "dev, staging or prod.")
    var env = "prod"

    @Option(help: "What `golden status --json --secrets` printed; - for standard input.")
    var stack: String?

    @Option(help: "The migrations that the release knows (or GOLDEN_MIGRATIONS).")
    var migrations: String?

    @Option(help: "Rendered manifests, for how many connections, CPUs and bytes their pods ask.")
    var manifests: String?

    @Option(help: "What `kubectl get nodes,pods,resourcequotas,namespaces -A -o json` printed; - for standard input.")
    var cluster: String?

    @Option(help: "The namespace of the release, for --cluster; --config's by default, or the environment's usual one.")
    var namespace: String?

    @Option(help: "gate.yaml, for the namespace that it names.")
    var config: String?

    @Option(help: "The compatibility matrix.")
    var compatibility: String?

    @Option(help: "With --compatibility: the version that is released; this program's own by default.")
    var to = Version.release

    @Option(help: "Write what was found as the precondition of a promotion to this file.")
    var record: String?

    @Option(help: "Connections that Postgres keeps back for backups, migrations and people.")
    var keep = 20

    @Option(name: .customLong("certificate"), help: "host:port of a further certificate to look at. Repeatable.")
    var certificates: [String] = []

    @Option(name: .customLong("service"), help: "With --after: a service whose /ready is asked. Repeatable.")
    var services: [String] = []

    @Flag(help: "The release runs already: services must be ready and every consumer be pulled from.")
    var after = false

    @Flag(help: "The release brings its migrations and streams: those that are missing are no fault yet.")
    var beforeUpgrade = false

    @Flag(help: "The findings as one JSON object.")
    var json = false

    func validate() throws {
        if after, beforeUpgrade { throw ValidationError("--after and --before-upgrade exclude each other.") }
        if !services.isEmpty, !after { throw ValidationError("--service goes with --after.") }
        if stack == "-", cluster == "-" { throw ValidationError("Standard input is one of --stack and --cluster.") }
        if keep < 0 { throw ValidationError("--keep must be 0 or more.") }
    }

    func run() async throws {
        let settings = ServiceConfiguration()
        let logger = LogOutput(descriptor: 2).logger(
            service: "release-gate", level: max(try settings.logLevel(), .critical))
        var targets = try targets(settings)
        targets.manifests = manifests
        targets.cluster = cluster
        if let config { try targets.setNamespace(configuration: config, environment: env) }
        targets.namespace = namespace ?? targets.namespace
        if let compatibility { try targets.setCompatibility(file: compatibility, version: to) }
        targets.migrations = migrations ?? targets.migrations
        targets.connectionsKept = keep
        targets.certificates = certificates
        targets.services += services
        targets.isAfterDeploy = after
        targets.isBeforeUpgrade = beforeUpgrade
        throw ExitCode(
            try await Preflight.run(targets, environment: env, isJSON: json, recordFile: record, logger: logger))
    }

    private func targets(_ settings: ServiceConfiguration) throws -> PreflightTargets {
        guard let stack else { return try PreflightTargets(settings: settings) }
        return try PreflightTargets(stackFile: stack)
    }
}
