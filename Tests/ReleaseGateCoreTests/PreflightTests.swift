import ReleaseGateCore
import Testing

@Suite struct `Preflight rules` {
    private static let now = 1_793_491_200

    /// An environment with which nothing is wrong.
    private static func good(_ environment: DeployEnvironment = .prod) -> PreflightFacts {
        var facts = PreflightFacts(environment: environment, atSeconds: now)
        facts.postgres = .answered(postgres)
        facts.redis = .answered(redis)
        facts.nats = .answered(nats)
        let deployment = PreflightFacts.Deployment(
            component: "orchestrator", pods: 2, isCanary: true, requests: .init(cpu: 500, memory: 1_073_741_824_000))
        facts.chart = .answered(
            .init(
                workloads: [.init(name: "orchestrator", podsMax: 21, connectionsPerPod: 7)], connectionsKept: 20,
                deployments: [deployment]))
        facts.cluster = .answered(cluster)
        facts.compatibility = .answered(compatibility)
        facts.secrets = [.init(name: "a secret", secret: "9b1c5e7d3f2a486094", bytesMin: 16)]
        facts.certificates = [.init(place: "db:5432", endsSeconds: now + 60 * 86_400)]
        return facts
    }

    private static var postgres: PreflightFacts.Postgres {
        var postgres = PreflightFacts.Postgres()
        postgres.version = 150_004
        postgres.tls = "TLSv1.3"
        postgres.isVerified = true
        postgres.asksForPassword = true
        postgres.user = "golden"
        postgres.connectionsMax = 400
        postgres.connectionsReserved = 3
        postgres.synchronousCommit = "on"
        postgres.slowQueryMilliseconds = 500
        postgres.appendOnly = [.init(name: "audit_log", exists: true, isGranted: false, isGuarded: true)]
        postgres.migrations = .init(applied: 17, pending: [], strange: [])
        return postgres
    }

    private static var redis: PreflightFacts.Redis {
        var redis = PreflightFacts.Redis()
        redis.version = "7.0.15"
        redis.isEncrypted = true
        redis.asksForPassword = true
        redis.isAppendOnly = true
        redis.fsync = "everysec"
        redis.memoryMaxBytes = 256 << 20
        redis.memoryPolicy = "allkeys-lru"
        redis.keys = 20
        redis.keysExpiring = 18
        redis.expires = true
        return redis
    }

    private static var nats: PreflightFacts.NATS {
        var nats = PreflightFacts.NATS()
        nats.isEncrypted = true
        nats.asksForPassword = true
        nats.payloadBytesMax = 2 << 20
        nats.payloadBytesWanted = 2 << 20
        nats.replicas = 3
        return nats
    }

    /// Room for two more pods of half a CPU and a GiB, and a quota that says the same.
    private static let cluster = PreflightFacts.Cluster(
        nodes: [.init(name: "a", left: .init(cpu: 1000, memory: 2_147_483_648_000), podsLeft: 5)],
        quotas: [.init(name: "golden", left: ["requests.cpu": 1000, "pods": 2000])], running: ["orchestrator": 2])

    private static var compatibility: PreflightFacts.Compatibility {
        let rows: [CompatibilityMatrix.Row] = [(1, 16), (2, 17)].compactMap { minor, schema in
            guard let version = Version("0.\(minor).0"), let before = Version("0.\(minor - 1).0") else { return nil }
            return .init(version: version, schema: schema, messages: 1, runsBeside: minor > 1 ? [before] : [])
        }
        return .init(matrix: CompatibilityMatrix(versions: rows), version: rows[1].version)
    }

    private static func with(postgres change: (inout PreflightFacts.Postgres) -> Void) -> PreflightFacts {
        var (facts, changed) = (good(), postgres)
        change(&changed)
        facts.postgres = .answered(changed)
        return facts
    }

    private static func with(redis change: (inout PreflightFacts.Redis) -> Void) -> PreflightFacts {
        var (facts, changed) = (good(), redis)
        change(&changed)
        facts.redis = .answered(changed)
        return facts
    }

    private static func with(nats change: (inout PreflightFacts.NATS) -> Void) -> PreflightFacts {
        var (facts, changed) = (good(), nats)
        change(&changed)
        facts.nats = .answered(changed)
        return facts
    }

    private static func with(_ change: (inout PreflightFacts) -> Void) -> PreflightFacts {
        var facts = good()
        change(&facts)
        return facts
    }

    @Test(arguments: DeployEnvironment.allCases)
    func `what is in order is clear`(environment: DeployEnvironment) {
        let report = PreflightRules.report(Self.good(environment))
        #expect(report.isClear && report.findings.allSatisfy { $0.verdict == .ok }, "\(report.findings)")
        #expect(report.findings.allSatisfy { !$0.requirements.isEmpty && $0.next == nil })
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let facts: PreflightFacts
        let check: PreflightFinding.Check
        let verdict: PreflightFinding.Verdict
        let requirement: String
        var testDescription: String { name }

        init(
            _ name: String, _ facts: PreflightFacts, _ check: PreflightFinding.Check,
            _ verdict: PreflightFinding.Verdict, _ requirement: String
        ) {
            (self.name, self.facts, self.check, self.verdict, self.requirement) =
                (name, facts, check, verdict, requirement)
        }
    }

    private static let databases: [Case] = [
        Case("away", with { $0.postgres = .unreachable("gone") }, .postgresReached, .failed, "C19"),
        Case("not named", with { $0.postgres = .notAsked("") }, .postgresReached, .unknown, "C19"),
        Case("old", with(postgres: { $0.version = 140_011 }), .postgresVersion, .failed, "C19"),
        Case("a replica", with(postgres: { $0.isReplica = true }), .postgresVersion, .failed, "C19"),
        Case("plain", with(postgres: { $0.tls = nil }), .postgresTLS, .failed, "E2"),
        Case("unverified", with(postgres: { $0.isVerified = false }), .postgresTLS, .warning, "E2"),
        Case("trusting", with(postgres: { $0.asksForPassword = false }), .postgresPassword, .failed, "E2"),
        Case("untried", with(postgres: { $0.asksForPassword = nil }), .postgresPassword, .unknown, "E2"),
        Case("a superuser", with(postgres: { $0.powers = ["superuser"] }), .postgresRole, .failed, "E3"),
        Case(
            "a table less",
            with(postgres: {
                $0.appendOnly = [.init(name: "audit_log", exists: false, isGranted: false, isGuarded: false)]
            }), .postgresAppendOnly, .failed, "A6"),
        Case(
            "no trigger",
            with(postgres: {
                $0.appendOnly = [.init(name: "audit_log", exists: true, isGranted: false, isGuarded: false)]
            }), .postgresAppendOnly, .failed, "E3"),
        Case(
            "a grant",
            with(postgres: {
                $0.appendOnly = [.init(name: "audit_log", exists: true, isGranted: true, isGuarded: true)]
            }), .postgresAppendOnly, .warning, "E3"),
        Case(
            "a migration pending",
            with(postgres: { $0.migrations = .init(applied: 16, pending: ["17 x"], strange: []) }),
            .postgresMigrations, .failed, "E8"),
        Case(
            "a migration changed",
            with {
                $0.isBeforeUpgrade = true
                var postgres = postgres
                postgres.migrations = .init(applied: 16, pending: [], strange: ["3 x"])
                $0.postgres = .answered(postgres)
            }, .postgresMigrations, .failed, "E8"),
        Case("small", with(postgres: { $0.connectionsMax = 166 }), .postgresConnections, .failed, "E9"),
        Case("just large enough", with(postgres: { $0.connectionsMax = 167 }), .postgresConnections, .ok, "E9"),
        Case("forgetful", with(postgres: { $0.synchronousCommit = "off" }), .postgresDurability, .failed, "E9"),
        Case("silent", with(postgres: { $0.slowQueryMilliseconds = -1 }), .postgresSlowQueries, .warning, "E9"),
        Case(
            "no manifests", with { ($0.chart, $0.isAfterDeploy) = (.notAsked(""), true) }, .postgresConnections,
            .unknown, "E9"),
    ]

    private static let others: [Case] = [
        Case("away", with { $0.redis = .unreachable("gone") }, .redisReached, .failed, "C19"),
        Case("old", with(redis: { $0.version = "6.2.1" }), .redisVersion, .failed, "C19"),
        Case("a replica", with(redis: { $0.isMaster = false }), .redisVersion, .failed, "C19"),
        Case("plain", with(redis: { $0.isEncrypted = false }), .redisTLS, .failed, "E2"),
        Case("open", with(redis: { $0.asksForPassword = false }), .redisPassword, .failed, "E2"),
        Case("no log", with(redis: { $0.isAppendOnly = false }), .redisAppendOnly, .failed, "E10"),
        Case("unsynced", with(redis: { $0.fsync = "no" }), .redisAppendOnly, .failed, "E10"),
        Case("silent", with(redis: { $0.fsync = nil }), .redisAppendOnly, .warning, "E10"),
        Case("unbounded", with(redis: { $0.memoryMaxBytes = 0 }), .redisMemory, .failed, "E10"),
        Case("full", with(redis: { $0.memoryPolicy = "noeviction" }), .redisMemory, .failed, "E10"),
        Case("choosy", with(redis: { $0.memoryPolicy = "volatile-ttl" }), .redisMemory, .warning, "E10"),
        Case("everlasting", with(redis: { $0.expires = false }), .redisExpiry, .failed, "E10"),
        Case("leaking", with(redis: { $0.keys = 5000 }), .redisExpiry, .warning, "E10"),
        Case("away", with { $0.nats = .unreachable("gone") }, .natsReached, .failed, "C19"),
        Case("plain", with(nats: { $0.isEncrypted = false }), .natsTLS, .failed, "E2"),
        Case("open", with(nats: { $0.asksForPassword = false }), .natsPassword, .failed, "E2"),
        Case("narrow", with(nats: { $0.payloadBytesMax = 1 << 20 }), .natsPayload, .warning, "E11"),
        Case("no JetStream", with(nats: { $0.jetStreamFault = "off" }), .natsStreams, .failed, "E11"),
        Case(
            "a stream missing",
            with(nats: { $0.drift = [.init(object: "stream DLQ", isMissing: true, differences: "")] }),
            .natsStreams, .failed, "E11"),
        Case("one copy", with(nats: { $0.replicas = 1 }), .natsReplicas, .failed, "E11"),
        Case(
            "an idle consumer",
            with {
                var nats = nats
                nats.consumers = [.init(name: "dlq-worker", pullsWaiting: 0)]
                $0.nats = .answered(nats)
                $0.isAfterDeploy = true
            }, .natsConsuming, .failed, "E14"),
        Case(
            "a weak secret", with { $0.secrets = [.init(name: "a", secret: "golden", bytesMin: 16)] },
            .secretStrength, .failed, "E1"),
        Case(
            "a certificate that ends",
            with { $0.certificates = [.init(place: "db", endsSeconds: now + 3 * 86_400)] },
            .certificateExpiry, .failed, "C7"),
        Case(
            "a certificate that ends soon",
            with { $0.certificates = [.init(place: "db", endsSeconds: now + 20 * 86_400)] },
            .certificateExpiry, .warning, "C7"),
        Case(
            "no certificate", with { $0.certificates = [.init(place: "db", endsSeconds: nil)] },
            .certificateExpiry, .unknown, "C7"),
        Case(
            "a service that waits", with { $0.services = [.init(url: "u", isReady: false, detail: "503")] },
            .servicesReady, .failed, "A30"),
    ]

    private static let rooms: [Case] = [
        Case("no cluster", with { $0.cluster = .notAsked("") }, .clusterCapacity, .unknown, "A29"),
        Case(
            "a full node",
            with { $0.cluster = .answered(.init(nodes: [.init(name: "a", left: .init(), podsLeft: 5)])) },
            .clusterCapacity, .failed, "A29"),
        Case(
            "a full quota",
            with {
                $0.cluster = .answered(
                    .init(
                        nodes: cluster.nodes, quotas: [.init(name: "golden", left: ["pods": 1000])],
                        running: cluster.running))
            }, .clusterQuota, .failed, "A29"),
        Case(
            "another namespace's quotas alone",
            with {
                $0.cluster = .answered(
                    .init(nodes: cluster.nodes, running: cluster.running, namespace: .unseen("golden-architecture")))
            }, .clusterQuota, .unknown, "A29"),
        Case(
            "a namespace that is to be made",
            with {
                $0.cluster = .answered(
                    .init(nodes: cluster.nodes, running: cluster.running, namespace: .absent("golden-architecture")))
            }, .clusterQuota, .warning, "A29"),
        Case("no matrix", with { $0.compatibility = .notAsked("") }, .versionCompatibility, .unknown, "C21"),
        Case(
            "a version without a row",
            with {
                $0.compatibility = .answered(
                    .init(matrix: .init(versions: [compatibility.matrix.versions[0]]), version: compatibility.version))
            }, .versionCompatibility, .failed, "C21"),
        Case(
            "a database of a version that is too old",
            with {
                var postgres = postgres
                postgres.migrations = .init(applied: 15, pending: [], strange: [])
                $0.postgres = .answered(postgres)
            }, .versionCompatibility, .failed, "C21"),
        Case(
            "a database of the version before",
            with {
                var postgres = postgres
                postgres.migrations = .init(applied: 16, pending: [], strange: [])
                $0.postgres = .answered(postgres)
            }, .versionCompatibility, .ok, "C21"),
    ]

    @Test(arguments: databases + others + rooms)
    func `what is wrong is found, and nothing else`(given: Case) throws {
        let report = PreflightRules.report(given.facts)
        let finding = try #require(report.findings.first { $0.check == given.check })
        #expect(finding.verdict == given.verdict && finding.requirements.contains(given.requirement), "\(finding)")
        #expect((finding.next != nil) == (given.verdict != .ok))
        #expect(report.isClear == [.ok, .warning].contains(given.verdict))
        let rest = report.findings.filter { $0.check != given.check }
        #expect(rest.allSatisfy { $0.verdict == .ok }, "\(rest)")
    }

    @Test func `development is told what it lacks, and may go on`() throws {
        var facts = Self.good(.dev)
        var (postgres, redis, nats) = (Self.postgres, Self.redis, Self.nats)
        (postgres.tls, redis.isEncrypted, nats.isEncrypted, nats.replicas) = (nil, false, false, 1)
        (facts.postgres, facts.redis, facts.nats) = (.answered(postgres), .answered(redis), .answered(nats))
        facts.chart = .notAsked("no manifests")
        (facts.cluster, facts.compatibility) = (.notAsked("no cluster"), .notAsked("no matrix"))
        let report = PreflightRules.report(facts)
        #expect(report.isClear)
        #expect(report.count(.warning) == 6)
    }

    @Test func `development may go on without its namespace`() throws {
        for namespace in [PreflightFacts.Cluster.Namespace.absent("mine"), .unseen("mine")] {
            var facts = Self.good(.dev)
            facts.cluster = .answered(
                .init(nodes: Self.cluster.nodes, running: Self.cluster.running, namespace: namespace))
            let report = PreflightRules.report(facts)
            #expect(report.isClear && report.count(.warning) == 1, "\(report.findings)")
        }
    }

    @Test func `a promotion gets what was found, as it was found`() throws {
        let good = try PreflightRules.report(Self.good()).precondition()
        #expect(good.kind == .preflight && good.result == .passed && good.summary.hasPrefix("prod: "))
        let bad = try PreflightRules.report(Self.with { $0.cluster = .notAsked("") }).precondition()
        #expect(bad.result == .failed && bad.evidenceSHA256 != good.evidenceSHA256)
        #expect(Digest(hexadecimal: good.evidenceSHA256) != nil)
    }

    @Test func `what an upgrade brings is no fault before it`() throws {
        var facts = Self.with(nats: { $0.drift = [.init(object: "stream DLQ", isMissing: true, differences: "")] })
        facts.isBeforeUpgrade = true
        #expect(PreflightRules.report(facts).isClear)
    }

    @Test(arguments: [
        ("", "empty"), ("golden", "tries first"), ("Password123", "tries first"), ("abcdefgh12", "10 bytes"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "repeats"),
    ])
    func `a secret that can be guessed is told without it`(secret: String, fault: String) {
        let strength = PreflightFacts.Secret(name: "it", secret: secret, bytesMin: 16)
        #expect(strength.fault?.contains(fault) == true, "\(strength)")
        #expect(secret.isEmpty || strength.fault?.contains(secret) == false)
    }

    @Test func `a random secret is a good one, whatever word chance put into it`() {
        for secret in ["3f9a1c7be2d85046", "xK3-testQ9vR7mW2pL"] {
            #expect(PreflightFacts.Secret(name: "it", secret: secret, bytesMin: 16).fault == nil)
        }
    }
}
