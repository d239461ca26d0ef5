package import Bootstrap
package import Contracts
internal import FoundationEssentials
package import MessageBus
package import Postgres
internal import Processes
package import Redis
package import SandboxExecutorCore

/// Everything a sandbox executor is told from outside, read once.
///
/// Keys besides those of `BusSettings`: `GOLDEN_POSTGRES_URL`, `GOLDEN_POOL_SIZE`, `GOLDEN_REDIS_URL`,
/// `GOLDEN_REDIS_CA`,
/// `GOLDEN_HTTP_HOST`, `GOLDEN_HTTP_PORT`, `GOLDEN_SANDBOX_FOLDER`, `GOLDEN_SANDBOX_LAUNCHER`, `GOLDEN_SANDBOX_TIER`,
/// `GOLDEN_SANDBOX_MIN_TIER`, `GOLDEN_SANDBOX_CONCURRENCY`, `GOLDEN_SANDBOX_UID_BASE`, `GOLDEN_SANDBOX_WARM`,
/// `GOLDEN_SANDBOX_CEILINGS`, `GOLDEN_SANDBOX_ENV`, `GOLDEN_SANDBOX_RETENTION_HOURS`, `GOLDEN_SANDBOX_STATE`.
/// Each may be given as `<KEY>_FILE` instead.
package struct SandboxExecutorConfiguration: Sendable {
    package var postgres: PostgresConfiguration
    package var bus: BusSettings
    package var redis: RedisConfiguration?
    package var httpHost: String
    package var httpPort: Int
    package var handover: Handover
    package var engine: EngineConfiguration
    package var retentionHours: Int
    /// A run whose program was started and goes on for so long shows that the engine is well. Less than the lease of
    /// the breaker's probes, which may be runs of minutes. No key changes it.
    package var soundAfter: Duration = .seconds(20)

    package init(_ settings: ServiceConfiguration) throws {
        postgres = PostgresConfiguration(
            connectionString: try settings.url("GOLDEN_POSTGRES_URL"), applicationName: "golden-sandbox-executor"
        )
        postgres.maxConnections = try settings.int("GOLDEN_POOL_SIZE", default: 4, in: 2...64)
        bus = try BusSettings(settings, name: "golden-sandbox-executor")
        redis = try settings.optionalURL("GOLDEN_REDIS_URL").map { url in
            guard
                let redis = RedisConfiguration(url: url, authorityFile: try settings.optionalString("GOLDEN_REDIS_CA"))
            else { throw settings.invalid("GOLDEN_REDIS_URL", "must be redis://[user]:password@host:port/database") }
            return redis
        }
        httpHost = try settings.string("GOLDEN_HTTP_HOST", default: "127.0.0.1")
        httpPort = try settings.int("GOLDEN_HTTP_PORT", default: 8083, in: 0...65_535)
        handover = try Handover(settings)
        engine = try EngineConfiguration(settings)
        retentionHours = try settings.int("GOLDEN_SANDBOX_RETENTION_HOURS", default: 168, in: 1...8760)
    }
}

/// What the engine alone is told: enough to run programs without any store, as `sandbox-executor check` does.
package struct EngineConfiguration: Sendable {
    /// `languages/`, `policy/`, `prelude/` and `rootfs/`.
    package var folder: String
    package var launcher: String
    package var tier: TierChoice.Wish
    package var tierMin: SandboxTier
    /// Runs at once.
    package var concurrency: Int
    /// The first of the uids that sandboxes have on the host.
    package var uidBase: Int
    /// Whether interpreters are kept warm.
    package var isWarm: Bool
    package var ceiling: SandboxLimits
    package var ceilings: [TenantID: SandboxLimits]
    package var variables: [String]
    /// Where the tier without namespaces keeps its folders.
    package var state: String

    package init(_ settings: ServiceConfiguration) throws {
        folder = try settings.optionalString("GOLDEN_SANDBOX_FOLDER") ?? HostFiles.near("sandbox/languages", "sandbox")
        launcher = try settings.optionalString("GOLDEN_SANDBOX_LAUNCHER") ?? HostFiles.beside("sandbox-launcher")
        tier = try settings.choice("GOLDEN_SANDBOX_TIER", default: .automatic)
        tierMin = try settings.choice("GOLDEN_SANDBOX_MIN_TIER", default: .namespaces)
        concurrency = try settings.int(
            "GOLDEN_SANDBOX_CONCURRENCY", default: min(256, 2 * KernelFiles.processors), in: 1...256)
        uidBase = try settings.int("GOLDEN_SANDBOX_UID_BASE", default: 61_000, in: 1000...2_000_000_000)
        isWarm = try settings.bool("GOLDEN_SANDBOX_WARM", default: true)
        variables = try settings.list(
            "GOLDEN_SANDBOX_ENV", default: ProgramRules.variablesDefault.joined(separator: ","))
        state = try settings.string("GOLDEN_SANDBOX_STATE", default: "/tmp")
        ceiling = ProgramRules.ceilingDefault
        ceilings = [:]
        guard let text = try settings.optionalString("GOLDEN_SANDBOX_CEILINGS") else { return }
        do throws(JSONError) {
            for field in try JSON(parsing: text.utf8).fields ?? [] {
                var reader = try JSONReader(field.value, path: field.name)
                let limits = try SandboxLimits(from: &reader)
                if field.name == "*" {
                    ceiling = limits
                } else if let tenant = TenantID(field.name) {
                    ceilings[tenant] = limits
                } else {
                    throw JSONError(.wrongShape, path: field.name, "is no tenant")
                }
            }
        } catch {
            throw settings.invalid(
                "GOLDEN_SANDBOX_CEILINGS", "must be an object of limits by tenant, * for all others: \(error)")
        }
    }
}

/// Where this program's own files are.
enum HostFiles {
    /// A program beside this one.
    static func beside(_ name: String) -> String {
        let own = KernelFiles.link("/proc/self/exe") ?? ""
        return "\(parent(own))/\(name)"
    }

    /// A folder that holds `mark`, upwards from this program, or below `share/golden` there.
    static func near(_ mark: String, _ name: String) -> String {
        var folder = parent(KernelFiles.link("/proc/self/exe") ?? "")
        for _ in 0..<6 where folder != "/" {
            for candidate in [folder, "\(folder)/share/golden"] where KernelFiles.exists("\(candidate)/\(mark)") {
                return "\(candidate)/\(name)"
            }
            folder = parent(folder)
        }
        return name
    }

    static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}
