package import Bootstrap
internal import Contracts
internal import Foundation
package import MessageBus
internal import NATS
package import Redis
package import ReleaseGateCore

/// Where everything is that a preflight asks.
///
/// Keys: those of `BusSettings`, `GOLDEN_POSTGRES_URL`, `GOLDEN_REDIS_URL`, `GOLDEN_REDIS_CA`, `GOLDEN_JWT_SECRET`,
/// `GOLDEN_MIGRATIONS`: the same that the services are given, so that what is asked is what they will use.
package struct PreflightTargets: Sendable {
    package var postgresURL: String?
    package var bus: BusSettings?
    package var redis: RedisConfiguration?
    /// What the tokens are signed with.
    package var signingSecret: String?
    /// The folder of the migrations that this release knows.
    package var migrations: String?
    /// Rendered manifests, whose pods will ask for connections.
    package var manifests: String?
    /// What `kubectl get nodes,pods,resourcequotas,namespaces -A -o json` printed; `-` is standard input.
    package var cluster: String?
    /// Where the release's pods are to run; the environment's usual one when nil.
    package var namespace: String?
    package var compatibility: PreflightFacts.Compatibility?
    /// What Postgres keeps back for backups, migrations and people.
    package var connectionsKept = 20
    /// `host:port` of further certificates to look at.
    package var certificates: [String] = []
    /// Services whose `/ready` is asked.
    package var services: [String] = []
    package var isAfterDeploy = false
    package var isBeforeUpgrade = false

    package init() {}

    /// - Throws: `BootstrapError` naming the setting.
    package init(settings: ServiceConfiguration) throws {
        postgresURL = try settings.optionalURL("GOLDEN_POSTGRES_URL")
        if try settings.optionalString("GOLDEN_NATS_URL") != nil {
            var bus = try BusSettings(settings, name: "release-gate")
            bus.connection = Self.withoutLogin(bus.connection)
            self.bus = bus
        }
        if let url = try settings.optionalURL("GOLDEN_REDIS_URL") {
            redis = RedisConfiguration(url: url, authorityFile: try settings.optionalString("GOLDEN_REDIS_CA"))
            if redis == nil { throw settings.invalid("GOLDEN_REDIS_URL", "must be redis:// or rediss:// with a host") }
        }
        signingSecret = try settings.optionalSecret("GOLDEN_JWT_SECRET")
        migrations = try settings.optionalString("GOLDEN_MIGRATIONS")
    }

    /// From what `golden status --json --secrets` printed to a file; `-` is standard input.
    package init(stackFile path: String) throws(GateError) {
        try self.init(stack: try GateFiles.text(path == "-" ? "/dev/stdin" : path), from: path)
    }

    /// From what `golden status --json --secrets` prints.
    ///
    /// - Throws: `invalid` for anything else.
    package init(stack text: String, from path: String) throws(GateError) {
        do {
            var reader = try JSONReader(try JSON(parsing: text.utf8))
            var stores = try JSONReader(try reader.required("stores"), path: "stores")
            postgresURL = try stores.string("postgres")
            let servers = try stores.string("nats").split(separator: ",").map(String.init)
            let connection = Self.withoutLogin(NATSConfiguration(servers: servers, name: "release-gate"))
            bus = BusSettings(connection: connection, streams: BusConfiguration(replicas: servers.count))
            guard let redis = RedisConfiguration(url: try stores.string("redis")) else {
                throw stores.error("redis", "is no Redis URL")
            }
            self.redis = redis
            for var process in try reader.optionalObjects("processes", atMost: 1000) ?? [] {
                let (name, address) = (try process.string("name"), try process.optionalString("address"))
                // The stores are asked in their own languages; agents listen nowhere.
                guard let address, Self.hasReadiness(name) else { continue }
                services.append("http://\(address)")
            }
        } catch {
            throw GateError(
                .invalid, "\(path) is not what the embedded stack says of itself.",
                next: "golden status --json --secrets > stack.json", underlying: error)
        }
    }

    /// Takes the environment's namespace from `gate.yaml`.
    ///
    /// - Throws: `invalid` for a file that cannot be read, and where it names none.
    package mutating func setNamespace(configuration path: String, environment name: String) throws(GateError) {
        let environment = try GateSession.environment(name)
        namespace = try GateConfiguration(file: path).namespace(of: environment)
    }

    /// - Throws: `invalid` for a matrix or a version that cannot be read.
    package mutating func setCompatibility(file path: String, version text: String) throws(GateError) {
        guard let version = ReleaseGateCore.Version(text) else {
            throw GateError(.invalid, "\(text) is no semantic version.")
        }
        compatibility = PreflightFacts.Compatibility(
            matrix: try GateConfiguration.matrix(in: path), version: version)
    }

    private static func hasReadiness(_ name: String) -> Bool {
        ["orchestrator", "peer-hub", "supervisor", "dlq-worker"].contains { name.hasPrefix($0) }
    }

    /// User and password of the URLs become credentials, so that a connection without them can be tried.
    static func withoutLogin(_ configuration: NATSConfiguration) -> NATSConfiguration {
        var bare = configuration
        bare.servers = configuration.servers.map { server in
            guard let login = StoreURL(server).login else { return server }
            if let password = login.password {
                bare.credentials = .userPassword(user: login.user, password: password)
            } else {
                bare.credentials = .token(login.user)
            }
            return StoreURL(server).withoutLogin
        }
        return bare
    }
}

/// A store's address with its login, as far as it can be told without the store's own rules; several hosts may stand in
/// it.
struct StoreURL {
    let text: String

    init(_ text: String) { self.text = text }

    /// From after `://` to before the last `@` of the authority.
    private var loginRange: Range<String.Index>? {
        guard let scheme = text.firstRange(of: "://") else { return nil }
        let end = text[scheme.upperBound...].firstIndex { "/?".contains($0) } ?? text.endIndex
        guard let at = text[scheme.upperBound..<end].lastIndex(of: "@") else { return nil }
        return scheme.upperBound..<at
    }

    var login: (user: String, password: String?)? {
        guard let range = loginRange else { return nil }
        let halves = text[range].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map { part in
            String(part).removingPercentEncoding ?? String(part)
        }
        return (halves[0], halves.count > 1 ? halves[1] : nil)
    }

    var withoutLogin: String {
        guard let range = loginRange else { return text }
        return String(text[..<range.lowerBound] + text[text.index(after: range.upperBound)...])
    }

    /// The same with another password; nil when it has none.
    func with(password: String) -> String? {
        guard let range = loginRange, let colon = text[range].firstIndex(of: ":") else { return nil }
        return String(text[...colon]) + password + text[range.upperBound...]
    }

    /// Every `host:port` of the authority.
    func places(defaultPort: Int) -> [String] {
        let bare = withoutLogin
        let start = bare.firstRange(of: "://")?.upperBound ?? bare.startIndex
        let end = bare[start...].firstIndex { "/?".contains($0) } ?? bare.endIndex
        return bare[start..<end].split(separator: ",").map { $0.contains(":") ? String($0) : "\($0):\(defaultPort)" }
    }
}
