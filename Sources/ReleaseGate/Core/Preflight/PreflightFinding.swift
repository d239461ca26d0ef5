/// One thing that was looked at before a release: what was found, which of the customer's requirements it is about, and
/// what to do.
package struct PreflightFinding: Sendable, Equatable, Codable {
    package enum Verdict: String, Sendable, Codable, CaseIterable {
        case ok
        /// Said, and no reason to stop.
        case warning
        /// Nobody could be asked: nothing is known, which is no good news.
        case unknown
        case failed
    }

    /// What was looked at; stable words for scripts.
    package enum Check: String, Sendable, Codable, CaseIterable {
        case postgresReached = "postgres_reached"
        case postgresVersion = "postgres_version"
        case postgresTLS = "postgres_tls"
        case postgresPassword = "postgres_password"
        case postgresRole = "postgres_role"
        case postgresAppendOnly = "postgres_append_only"
        case postgresMigrations = "postgres_migrations"
        case postgresConnections = "postgres_connections"
        case postgresDurability = "postgres_durability"
        case postgresSlowQueries = "postgres_slow_queries"
        case redisReached = "redis_reached"
        case redisVersion = "redis_version"
        case redisTLS = "redis_tls"
        case redisPassword = "redis_password"
        case redisAppendOnly = "redis_append_only"
        case redisMemory = "redis_memory"
        case redisExpiry = "redis_expiry"
        case natsReached = "nats_reached"
        case natsTLS = "nats_tls"
        case natsPassword = "nats_password"
        case natsStreams = "nats_streams"
        case natsReplicas = "nats_replicas"
        case natsPayload = "nats_payload"
        case natsConsuming = "nats_consuming"
        case versionCompatibility = "version_compatibility"
        case clusterCapacity = "cluster_capacity"
        case clusterQuota = "cluster_quota"
        case secretStrength = "secret_strength"
        case certificateExpiry = "certificate_expiry"
        case servicesReady = "services_ready"
    }

    package let check: Check
    package let verdict: Verdict
    /// Ids of docs/checklist.md.
    package let requirements: [String]
    package let found: String
    /// What to do; nil when nothing is.
    package let next: String?

    package init(
        _ check: Check, _ verdict: Verdict, _ requirements: [String], _ found: String, next: String? = nil
    ) {
        self.check = check
        self.verdict = verdict
        self.requirements = requirements
        self.found = found
        self.next = next
    }
}

/// What a preflight found, as a whole.
package struct PreflightReport: Sendable, Equatable, Codable {
    package let environment: DeployEnvironment
    package let atSeconds: Int
    package let findings: [PreflightFinding]

    /// Nothing that failed, and nothing that nobody could be asked about.
    package var isClear: Bool { findings.allSatisfy { $0.verdict == .ok || $0.verdict == .warning } }

    /// What a promotion asks for.
    package func precondition() throws -> Precondition {
        let counts = PreflightFinding.Verdict.allCases.map { "\(count($0)) \($0.rawValue)" }
        return Precondition(
            kind: .preflight, result: isClear ? .passed : .failed, atSeconds: atSeconds,
            evidenceSHA256: try Canonical.digest(self).hexadecimal,
            summary: "\(environment.rawValue): \(counts.joined(separator: ", "))", environment: environment)
    }

    package func count(_ verdict: PreflightFinding.Verdict) -> Int { findings.count { $0.verdict == verdict } }
}
