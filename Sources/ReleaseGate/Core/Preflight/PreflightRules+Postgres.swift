extension PreflightRules {
    /// The oldest server that the migrations and statements run on.
    private static let postgresVersionMin = 150_000
    /// From here on a statement is slow for a platform whose queries are promised within 100 ms.
    private static let slowQueryMillisecondsMax = 1000
    /// What `synchronous_commit` may be: what was answered 202 must survive a crash.
    private static let durable = ["on", "remote_apply"]

    static func postgres(_ facts: PreflightFacts) -> [PreflightFinding] {
        let demand = connections(facts)
        guard case .answered(let postgres) = facts.postgres else {
            let absent = absence(facts.postgres, .postgresReached, ["C19"], setting: "GOLDEN_POSTGRES_URL")
            return [absent, demand].compactMap { $0 }
        }
        return [
            version(postgres), encryption(postgres, facts),
            asked(
                .postgresPassword, postgres.asksForPassword, "Postgres",
                next: "Let pg_hba.conf ask for scram-sha-256 from everywhere, and reload it."),
            role(postgres), appendOnly(postgres, facts), migrations(postgres, facts), demand, durability(postgres),
            slowQueries(postgres),
        ].compactMap { $0 }
    }

    private static func version(_ postgres: PreflightFacts.Postgres) -> PreflightFinding {
        let text = "Postgres \(postgres.version / 10_000).\(postgres.version % 10_000)"
        if postgres.isReplica {
            return PreflightFinding(
                .postgresVersion, .failed, ["C19"], "\(text) is a replica, which takes no writes",
                next: "Name the primary, or all servers with target_session_attrs=read-write.")
        }
        let isKnown = postgres.version >= postgresVersionMin
        return PreflightFinding(
            .postgresVersion, isKnown ? .ok : .failed, ["C19"], text,
            next: isKnown ? nil : "Postgres 15 and later are supported.")
    }

    private static func encryption(
        _ postgres: PreflightFacts.Postgres, _ facts: PreflightFacts
    ) -> PreflightFinding {
        let next = "Turn ssl on, and put sslmode=verify-full and sslrootcert into the URL (docs/kubernetes.md)."
        guard let tls = postgres.tls else {
            return PreflightFinding(
                .postgresTLS, required(facts), ["E2"], "the connection is not encrypted", next: next)
        }
        let verdict: PreflightFinding.Verdict = postgres.isVerified ? .ok : .warning
        return PreflightFinding(
            .postgresTLS, verdict, ["E2"],
            "encrypted by \(tls)" + (postgres.isVerified ? "" : ", and the server's name is not verified"),
            next: postgres.isVerified ? nil : next)
    }

    private static func role(_ postgres: PreflightFacts.Postgres) -> PreflightFinding {
        guard !postgres.powers.isEmpty else {
            return PreflightFinding(.postgresRole, .ok, ["E3"], "\(postgres.user) has no powers beyond its tables")
        }
        let without = postgres.powers.map { "NO" + $0.uppercased() }.joined(separator: " ")
        return PreflightFinding(
            .postgresRole, .failed, ["E3"],
            "the services' user \(postgres.user) has \(postgres.powers.joined(separator: ", "))",
            next: "ALTER ROLE \(postgres.user) \(without);")
    }

    /// Two locks: the trigger refuses, and a missing grant does before it. Without the first one, rows can be changed.
    private static func appendOnly(
        _ postgres: PreflightFacts.Postgres, _ facts: PreflightFacts
    ) -> PreflightFinding {
        let requirements = ["E3", "A6"]
        let missing = postgres.appendOnly.filter { !$0.exists }
        if !missing.isEmpty {
            return PreflightFinding(
                .postgresAppendOnly, brought(facts), requirements, "missing: \(names(missing))",
                next: "orchestrator migrate up")
        }
        let open = postgres.appendOnly.filter { !$0.isGuarded }
        if !open.isEmpty {
            return PreflightFinding(
                .postgresAppendOnly, .failed, requirements, "nothing refuses changes of \(names(open))",
                next: "Find out who took the trigger away (audit), then make it again as the migration does.")
        }
        let granted = postgres.appendOnly.filter(\.isGranted)
        let found =
            granted.isEmpty
            ? "\(postgres.appendOnly.count) tables refuse changes, by grants and triggers"
            : "triggers refuse changes of \(names(granted)); \(postgres.user) is granted them all the same"
        let revoke = "REVOKE UPDATE, DELETE, TRUNCATE ON \(names(granted)) FROM \(postgres.user);"
        return PreflightFinding(
            .postgresAppendOnly, granted.isEmpty ? .ok : .warning, requirements, found,
            next: granted.isEmpty ? nil : "\(revoke) Retention then needs a user of its own.")
    }

    private static func names(_ tables: [PreflightFacts.Postgres.AppendOnlyTable]) -> String {
        tables.map(\.name).sorted().joined(separator: ", ")
    }

    private static func migrations(
        _ postgres: PreflightFacts.Postgres, _ facts: PreflightFacts
    ) -> PreflightFinding {
        let migrations = postgres.migrations
        if !migrations.strange.isEmpty {
            return PreflightFinding(
                .postgresMigrations, .failed, ["E8"],
                "not those of this release: \(migrations.strange.joined(separator: ", "))",
                next: "orchestrator migrate status; never change a migration that was applied.")
        }
        if !migrations.pending.isEmpty {
            return PreflightFinding(
                .postgresMigrations, brought(facts), ["E8"],
                "\(migrations.applied) applied, pending: \(migrations.pending.joined(separator: ", "))",
                next: "orchestrator migrate up")
        }
        return PreflightFinding(.postgresMigrations, .ok, ["E8"], "all \(migrations.applied) are applied")
    }

    /// Every pool full and one pod more of each service, against what the server has; by either side alone when the
    /// other did not answer.
    private static func connections(_ facts: PreflightFacts) -> PreflightFinding? {
        let requirements = ["E9"]
        guard case .answered(let chart) = facts.chart else {
            guard case .notAsked(let why) = facts.chart else {
                return absence(facts.chart, .postgresConnections, requirements, setting: "--manifests")
            }
            return unnamed(
                .postgresConnections, requirements, "how many connections may be asked for is not known: \(why)", facts,
                next: "helm template … > manifests.yaml; release-gate preflight --manifests manifests.yaml")
        }
        guard case .answered(let postgres) = facts.postgres else { return nil }
        let kept = max(chart.connectionsKept, postgres.connectionsReserved)
        let left = postgres.connectionsMax - kept
        let sum = chart.workloads.map { "\($0.name) \($0.podsMax)×\($0.connectionsPerPod)" }.joined(separator: ", ")
        let fits = chart.connectionsMax <= left
        return PreflightFinding(
            .postgresConnections, fits ? .ok : .failed, requirements,
            "\(chart.connectionsMax) may be asked for (\(sum)), of \(postgres.connectionsMax) less \(kept) in reserve",
            next: fits ? nil : "Fewer replicas, smaller pools (GOLDEN_POOL_SIZE), or more max_connections.")
    }

    private static func durability(_ postgres: PreflightFacts.Postgres) -> PreflightFinding {
        let isDurable = durable.contains(postgres.synchronousCommit)
        return PreflightFinding(
            .postgresDurability, isDurable ? .ok : .failed, ["E9"],
            "synchronous_commit is \(postgres.synchronousCommit)",
            next: isDurable ? nil : "Set it on for the server, the database and the role: accepted tasks would be lost."
        )
    }

    private static func slowQueries(_ postgres: PreflightFacts.Postgres) -> PreflightFinding {
        let limit = postgres.slowQueryMilliseconds
        let isLogged = (0...slowQueryMillisecondsMax).contains(limit)
        return PreflightFinding(
            .postgresSlowQueries, isLogged ? .ok : .warning, ["E9"],
            limit < 0 ? "the server logs no slow queries" : "the server logs queries that take \(limit) ms or more",
            next: isLogged ? nil : "log_min_duration_statement = 500; the services' own metric sees their side alone.")
    }
}
