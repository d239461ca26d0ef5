import Contracts
import Foundation
import MessageBus
import NATS
import Redis
import ReleaseGateCore
import ReleaseGateService
import Storage
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct `A preflight against live stores` {
    @Test func `a database in order is clear, and what is taken from it is found`() async throws {
        let postgres = try await TestPostgres.shared()
        var stores = PreflightStores()
        let url = try await PreflightStores.migrated(postgres)
        stores.targets.postgresURL = url
        let good = try await stores.verdicts(.dev)
        #expect(good[.postgresPassword] == .ok && good[.postgresRole] == .ok && good[.postgresMigrations] == .ok)
        #expect(good[.postgresDurability] == .ok && good[.postgresVersion] == .ok && good[.secretStrength] == .ok)
        #expect(good[.postgresTLS] == .warning && good[.postgresAppendOnly] != .failed)
        #expect(try await stores.verdicts(.staging)[.postgresTLS] == .failed)

        let user = try #require(URLComponents(string: url)?.user)
        try await postgres.sql(
            "ALTER ROLE \(user) CREATEDB; ALTER ROLE \(user) SET synchronous_commit = off", database: user)
        try await postgres.sql("ALTER TABLE audit_log DISABLE TRIGGER audit_log_is_append_only", database: user)
        try await postgres.sql("DELETE FROM schema_migrations WHERE version = 17", database: user)
        let report = try await stores.report(.dev)
        func found(_ check: PreflightFinding.Check) -> PreflightFinding? {
            report.findings.first { $0.check == check && $0.verdict == .failed }
        }
        #expect(found(.postgresRole)?.next == "ALTER ROLE \(user) NOCREATEDB;")
        #expect(found(.postgresDurability)?.found == "synchronous_commit is off")
        #expect(found(.postgresAppendOnly)?.found == "nothing refuses changes of audit_log")
        #expect(found(.postgresMigrations)?.found.hasSuffix(" applied, pending: 17 release_lineage") == true)
        #expect(!report.isClear)
    }

    @Test func `every table that migrations make append-only is looked at`() throws {
        let folder = PreflightStores.root.appending(path: "migrations").path
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".sql") }
        let tables = try names.flatMap { name in
            try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
                .matches(of: /BEFORE UPDATE OR DELETE OR TRUNCATE ON (\w+)/).map { String($0.1) }
        }
        #expect(tables.sorted() == ServerFactsStore.appendOnlyTables)
    }

    @Test func `a database that trusts, of a superuser, with few connections, is refused`() async throws {
        let postgres = try await TestPostgres.started(
            settings: ["max_connections": "30", "synchronous_commit": "off", "log_min_duration_statement": "250"],
            access: "host all all 127.0.0.1/32 trust")
        var stores = PreflightStores()
        stores.targets.postgresURL = "postgresql://golden:golden@127.0.0.1:\(postgres.port)/postgres"
        stores.targets.manifests = PreflightStores.root.appending(path: "k8s/tests/chart/golden/prod.yaml").path
        let verdicts = try await stores.verdicts()
        for check in [
            PreflightFinding.Check.postgresPassword, .postgresRole, .postgresConnections, .postgresDurability,
            .postgresMigrations, .postgresAppendOnly, .postgresTLS, .secretStrength,
        ] {
            #expect(verdicts[check] == .failed, "\(check)")
        }
        #expect(verdicts[.postgresSlowQueries] == .ok)
        stores.targets.isBeforeUpgrade = true
        let before = try await stores.verdicts()
        #expect(before[.postgresMigrations] == .warning && before[.postgresAppendOnly] == .warning)
    }

    @Test func `a Redis in order is clear, and one that forgets, or serves anybody, is not`() async throws {
        let redis = try await TestRedis.started()
        var stores = PreflightStores()
        stores.targets.redis = RedisConfiguration(port: redis.port, password: TestRedis.password)
        let bad = try await stores.verdicts(.dev)
        #expect(bad[.redisAppendOnly] == .failed && bad[.redisMemory] == .failed && bad[.redisPassword] == .ok)
        try await PreflightStores.configure(
            redis, [("appendonly", "yes"), ("maxmemory", "64mb"), ("maxmemory-policy", "allkeys-lru")])
        let good = try await stores.verdicts(.dev)
        #expect(good[.redisAppendOnly] == .ok && good[.redisMemory] == .ok && good[.redisExpiry] == .ok)
        #expect(good[.redisTLS] == .warning && good[.redisVersion] == .ok)

        try await PreflightStores.configure(redis, [("maxmemory-policy", "noeviction"), ("requirepass", "")])
        stores.targets.redis = RedisConfiguration(port: redis.port)
        let open = try await stores.verdicts(.dev)
        #expect(open[.redisPassword] == .failed && open[.redisMemory] == .failed)

        try await redis.kill()
        #expect(try await stores.verdicts(.dev)[.redisReached] == .failed)
    }

    @Test(arguments: TestNATS.binaries)
    func `streams as declared are clear, and one that is missing or differs is named`(server: String) async throws {
        let nats = try TestNATS(server, security: .user("golden", password: PreflightStores.password))
        var stores = PreflightStores()
        let settings = PreflightStores.bus(nats, login: true)
        stores.targets.bus = settings
        let empty = try await stores.report(.dev).findings.filter { $0.check == .natsStreams }
        #expect(empty.count == BusTopology.streams.count + BusTopology.consumers.count)
        try await PreflightStores.withBus(settings) { _, bus in _ = try await bus.setUp() }
        let good = try await stores.verdicts(.dev)
        #expect(good[.natsStreams] == .ok && good[.natsPassword] == .ok && good[.natsConsuming] == nil)
        #expect(try await stores.verdicts(.prod)[.natsReplicas] == .failed)

        try await PreflightStores.withBus(settings) { connection, _ in
            _ = try await connection.request("$JS.API.STREAM.DELETE.DLQ", headers: [:], payload: [])
        }
        stores.targets.bus?.streams.storageBytesMax *= 2
        stores.targets.isAfterDeploy = true
        let report = try await stores.report(.dev)
        let found = report.findings.filter { $0.check == .natsStreams }
        #expect(found.contains { $0.found == "stream DLQ is missing" && $0.requirements == ["E11"] })
        #expect(found.contains { $0.found.hasPrefix("stream WORK: max_bytes:") })
        let idle = try #require(report.findings.first { $0.check == .natsConsuming })
        #expect(idle.verdict == .failed && idle.found.contains("dlq-worker"))
    }

    @Test func `a NATS that serves anybody is refused`() async throws {
        let nats = try TestNATS()
        var stores = PreflightStores()
        stores.targets.bus = PreflightStores.bus(nats, login: false)
        #expect(try await stores.verdicts(.dev)[.natsPassword] == .failed)
        nats.kill()
        #expect(try await stores.verdicts(.dev)[.natsReached] == .failed)
    }

    /// The authority's certificates hold for two days, which is too short for anybody to renew them.
    @Test func `encryption is seen, and certificates that end soon are named`() async throws {
        let authority = try await TestAuthority.made()
        let identity = try authority.issue("stores", names: "DNS:localhost,IP:127.0.0.1")
        let postgres = try await TestPostgres.started(
            settings: ["ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"],
            files: ["server.crt": identity.certificate, "server.key": identity.key])
        let redis = try await TestRedis.started(authority: authority)
        let nats = try TestNATS(
            security: .tls(certificate: identity.certificate.path, key: identity.key.path))
        var stores = PreflightStores()
        let ca = authority.certificate.path
        stores.targets.postgresURL = try await PreflightStores.migrated(
            postgres, "?sslmode=verify-full&sslrootcert=\(ca)")
        stores.targets.redis = RedisConfiguration(
            port: try #require(redis.tlsPort), password: TestRedis.password, tls: RedisTLS(authorityFile: ca))
        var settings = PreflightStores.bus(nats, login: false)
        settings.connection.tls = NATSTLS(caFile: ca)
        stores.targets.bus = settings
        let report = try await stores.report(.prod)
        for check in [PreflightFinding.Check.postgresTLS, .redisTLS, .natsTLS] {
            #expect(report.findings.first { $0.check == check }?.verdict == .ok, "\(check)")
        }
        let certificates = report.findings.filter { $0.check == .certificateExpiry }
        #expect(
            certificates.count == 3 && certificates.allSatisfy { $0.verdict == .failed && $0.requirements == ["C7"] })
        let days = certificates.allSatisfy { $0.found.contains("1 days") || $0.found.contains("2 days") }
        #expect(days, "\(certificates)")
        stores.targets.certificates = ["127.0.0.1:\(redis.port)"]
        let plain = try await stores.report(.prod).findings.first {
            $0.check == .certificateExpiry && $0.found.contains("127.0.0.1:\(redis.port)")
        }
        #expect(plain?.verdict == .unknown)
    }
}

@Suite(.timeLimit(.minutes(10))) struct `Manifests` {
    @Test func `connections are added up as the chart adds them`() throws {
        let root = PreflightStores.root
        let helpers = try String(
            contentsOf: root.appending(path: "k8s/charts/golden/templates/_components.tpl"), encoding: .utf8)
        let facts = helpers.matches(of: /\n([a-z-]+):\n  port: \d+\n(?:  .*\n)*?  pool: (\d+)\n  spare: (\d+)\n/)
        #expect(facts.count == ManifestReader.pools.count)
        for fact in facts {
            let known = try #require(ManifestReader.pools[String(fact.1)])
            #expect(known.pool == Int(fact.2) && known.spare == Int(fact.3), "\(fact.1)")
        }
        let chart = try ManifestReader.chart(
            try YAMLDocument.all(in: root.appending(path: "k8s/tests/chart/golden/prod.yaml").path),
            connectionsKept: 20)
        #expect(
            chart.workloads.map { "\($0.name) \($0.podsMax) \($0.connectionsPerPod)" } == [
                "dlq-worker 3 3", "orchestrator 21 7", "peer-hub 11 4", "release-gate 2 2", "sandbox-executor 16 4",
                "supervisor 6 4",
            ])
        #expect(chart.connectionsMax == 292)
    }

    @Test func `a pool's own size counts, and a stranger's is asked for`() throws {
        func deployment(_ component: String) throws -> [JSON] {
            try YAMLDocument.parse(
                """
                kind: ConfigMap
                metadata: {name: settings}
                data: {GOLDEN_POSTGRES_URL_FILE: /x, GOLDEN_POOL_SIZE: "9"}
                ---
                kind: Deployment
                metadata: {name: it}
                spec:
                  replicas: 4
                  template:
                    metadata: {labels: {app.kubernetes.io/component: \(component)}}
                    spec: {containers: [{envFrom: [{configMapRef: {name: settings}}]}]}
                """, from: "test")
        }
        let chart = try ManifestReader.chart(try deployment("orchestrator"), connectionsKept: 0)
        #expect(chart.connectionsMax == 5 * 10)
        #expect(throws: GateError.self) { try ManifestReader.chart(try deployment("stranger"), connectionsKept: 0) }
    }
}
