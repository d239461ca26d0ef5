import ReleaseGateCore
import Testing

@Suite struct `Promotion` {
    static let now = 1_767_225_600
    static let day = 86_400

    static func digest(_ name: String, _ digit: String = "a") throws -> ArtifactDigest {
        try #require(ArtifactDigest(name: name, sha256: String(repeating: digit, count: 64)))
    }

    static let plan = String(repeating: "b", count: 64)

    static func approval(
        _ role: Approval.Role, by signer: String, train: ReleaseTrain, plan: String = plan, expires: Int = now + day
    ) -> Approval {
        Approval(
            role: role, keyID: "key-\(signer)", signer: signer, digests: train.digests, planSHA256: plan,
            signedSeconds: now - 60, expiresSeconds: expires)
    }

    /// From staging to production, with nothing missing.
    static func request(
        from source: DeployEnvironment? = .staging, to target: DeployEnvironment = .prod
    ) throws -> PromotionRequest {
        let train = ReleaseTrain(
            version: try #require(Version("1.2.0")), chart: try digest("chart"), manifests: try digest("manifests"),
            cars: [.init(service: "orchestrator", image: try digest("orchestrator"))])
        var request = PromotionRequest(
            train: train, source: source, target: target, atSeconds: now, planSHA256: plan, bump: .minor)
        if let source {
            request.seal = .init(environment: source, version: train.version, artifacts: train.artifacts)
        }
        request.soakMinutes = 120
        request.approvals = [
            approval(.teamLead, by: "ada", train: train), approval(.siteReliability, by: "bob", train: train),
        ]
        request.preconditions = Precondition.Kind.allCases.map { kind in
            Precondition(
                kind: kind, result: .passed, atSeconds: now - 3600, digests: train.artifacts,
                evidenceSHA256: String(repeating: "c", count: 64), summary: "done")
        }
        request.standings = [try standing(bad: 100)]
        try attest(&request)
        return request
    }

    static let commit = String(repeating: "9", count: 40)

    /// Signed, built from the commit, and compatible with what runs.
    static func attest(_ request: inout PromotionRequest) throws {
        let build = Attestation.Provenance(
            builder: "ci", sources: [.init(uri: "git+https://git.example/golden@refs/tags/v1.2.0", commit: commit)])
        request.attestations =
            request.train.cars.map { Attestation(.image, artifact: $0.image, keyID: "key") }
            + request.train.artifacts.map { Attestation(.provenance(build), artifact: $0, keyID: "key") }
        request.origin = .init(commit: commit, repository: "https://git.example/golden")
        request.previousVersion = Version("1.1.0")
        let versions = try ["1.1.0", "1.2.0"].map { try #require(Version($0)) }
        request.compatibility = CompatibilityMatrix(versions: [
            .init(version: versions[0], schema: 17, messages: 1, runsBeside: []),
            .init(version: versions[1], schema: 18, messages: 1, runsBeside: [versions[0]]),
        ])
    }

    static func standing(
        bad: Int, windows: [IndicatorEvidence.Window] = Self.windows(.counted(Sample(total: 1000, bad: 1)))
    ) throws -> PromotionRequest.Standing {
        let budget = try #require(ErrorBudget(target: 0.99))
        let objective = ServiceLevelObjective(
            name: "http-errors", service: "orchestrator", indicator: .init(bad: "bad", total: "total"), budget: budget)
        return .init(
            objective: objective, thirtyDays: .counted(Sample(total: 100_000, bad: bad)), windows: windows)
    }

    /// Of the rule that no release begins by.
    static func windows(_ short: Reading) -> [IndicatorEvidence.Window] {
        [
            .init(seconds: 86_400, reading: .counted(Sample(total: 10_000, bad: 10))),
            .init(seconds: 7200, reading: short),
        ]
    }

    static func codes(_ request: PromotionRequest) -> [Refusal.Code] {
        PromotionRules.judge(request, policy: PromotionPolicy()).refusals.map(\.code)
    }

    @Test func `goes on when nothing is missing`() throws {
        let ruling = PromotionRules.judge(try Self.request(), policy: PromotionPolicy())
        #expect(ruling.refusals == [])
        #expect(ruling.isDraft)
        #expect(!ruling.isBreakGlass)
        #expect(ruling.lines.contains("approval: team_lead by ada"))
        #expect(Self.codes(try Self.request(from: nil, to: .dev)) == [])
        #expect(Self.codes(try Self.request(from: .dev, to: .staging)) == [])
    }

    @Test(arguments: [
        (DeployEnvironment.dev, DeployEnvironment.prod), (.prod, .staging), (.staging, .dev), (.staging, .staging),
    ])
    func `goes no way but from dev to staging to prod`(from: DeployEnvironment, to: DeployEnvironment) throws {
        #expect(Self.codes(try Self.request(from: from, to: to)).contains(.path))
    }

    @Test func `skips staging for a fix with two roles more, as break-glass`() throws {
        var request = try Self.request(from: .dev, to: .prod)
        request.isHotfix = true
        #expect(Self.codes(request) == [.path, .approval])
        let train = request.train
        request = PromotionRequest(
            train: train, source: .dev, target: .prod, atSeconds: Self.now, planSHA256: Self.plan, bump: .patch)
        request.isHotfix = true
        request.seal = .init(environment: .dev, version: train.version, artifacts: train.artifacts)
        request.approvals = try Self.request().approvals
        request.preconditions = try Self.request().preconditions
        try Self.attest(&request)
        #expect(Self.codes(request) == [.approval])
        request.approvals += [
            Self.approval(.security, by: "cyd", train: train), Self.approval(.techLead, by: "dee", train: train),
        ]
        let ruling = PromotionRules.judge(request, policy: PromotionPolicy())
        #expect(ruling.isAllowed)
        #expect(ruling.isBreakGlass)
    }

    @Test func `needs a standing seal over the same digests`() throws {
        var request = try Self.request()
        request.seal = nil
        #expect(Self.codes(request) == [.seal])
        request.seal = .init(
            environment: .staging, version: request.train.version,
            artifacts: [try Self.digest("chart", "d"), try Self.digest("orchestrator")])
        #expect(Self.codes(request) == [.seal])
        var vouched = try Self.request()
        vouched.sealedArtifacts = vouched.train.artifacts
        #expect(Self.codes(vouched) == [])
        vouched.sealedArtifacts = [try Self.digest("chart"), try Self.digest("orchestrator", "d")]
        #expect(Self.codes(vouched) == [.seal], "the lineage sealed something else than the certificate says")
    }

    @Test func `needs its soak`() throws {
        var request = try Self.request()
        request.soakMinutes = 119
        #expect(Self.codes(request) == [.soak])
    }

    @Test func `counts an approval only for these digests, this plan, in time, by another person`() throws {
        let request = try Self.request()
        let train = request.train
        let good = Self.approval(.teamLead, by: "ada", train: train)
        let other = ReleaseTrain(
            version: train.version, chart: try Self.digest("chart", "e"), manifests: train.manifests, cars: train.cars)
        for second in [
            Self.approval(.siteReliability, by: "bob", train: other),
            Self.approval(.siteReliability, by: "bob", train: train, plan: String(repeating: "f", count: 64)),
            Self.approval(.siteReliability, by: "bob", train: train, expires: Self.now),
            Self.approval(.siteReliability, by: "ada", train: train),
            Self.approval(.teamLead, by: "bob", train: train),
        ] {
            var changed = request
            changed.approvals = [good, second]
            #expect(Set(Self.codes(changed)) == [.approval])
        }
    }

    @Test func `goes live with six roles`() throws {
        var request = try Self.request()
        request.isGoLive = true
        #expect(Self.codes(request).count == 4)
        let roles: [Approval.Role] = [.techLead, .security, .operations, .productOwner]
        request.approvals += roles.map { Self.approval($0, by: $0.rawValue, train: request.train) }
        #expect(Self.codes(request) == [])
    }

    @Test(arguments: [
        (Precondition.Kind.vulnerabilityScan, 24), (.backup, 24), (.restoreDrill, 90 * 24), (.endToEndTests, 7 * 24),
    ])
    func `refuses a report that is too old`(kind: Precondition.Kind, hours: Int) throws {
        for (age, codes) in [(hours * 3600, []), (hours * 3600 + 1, [Refusal.Code.precondition])] {
            var request = try Self.request()
            request.preconditions = request.preconditions.map { report in
                report.kind != kind
                    ? report
                    : Precondition(
                        kind: kind, result: .passed, atSeconds: Self.now - age, digests: report.digests,
                        evidenceSHA256: report.evidenceSHA256, summary: "done")
            }
            #expect(Self.codes(request) == codes, "\(kind) \(age)")
        }
    }

    static func report(
        _ kind: Precondition.Kind, _ result: Precondition.Result, hoursAgo: Int, digests: [ArtifactDigest],
        in environment: DeployEnvironment? = nil
    ) -> Precondition {
        Precondition(
            kind: kind, result: result, atSeconds: now - hoursAgo * 3600, digests: digests,
            evidenceSHA256: String(repeating: "c", count: 64), summary: "of \(hoursAgo) h ago",
            environment: environment)
    }

    @Test func `goes by the newest report of a kind that is about it`() throws {
        var request = try Self.request()
        let (artifacts, others) = (request.train.artifacts, [try Self.digest("chart", "e")])
        let kind = Precondition.Kind.vulnerabilityScan
        let reports: [([Precondition], [String])] = [
            (
                [
                    Self.report(kind, .passed, hoursAgo: 20, digests: artifacts),
                    Self.report(kind, .failed, hoursAgo: 2, digests: artifacts),
                ], ["vulnerability_scan: failed: of 2 h ago"]
            ),
            (
                [
                    Self.report(kind, .failed, hoursAgo: 20, digests: artifacts),
                    Self.report(kind, .passed, hoursAgo: 2, digests: artifacts),
                    Self.report(kind, .failed, hoursAgo: 1, digests: others),
                    Self.report(kind, .failed, hoursAgo: 1, digests: artifacts, in: .staging),
                ], []
            ),
            (
                [Self.report(kind, .passed, hoursAgo: 1, digests: others)],
                ["vulnerability_scan: is about other digests"]
            ),
        ]
        let rest = request.preconditions.filter { $0.kind != kind }
        for (own, messages) in reports {
            for order in [own, own.reversed()] {
                request.preconditions = rest + order
                let ruling = PromotionRules.judge(request, policy: PromotionPolicy())
                #expect(ruling.refusals.map(\.message) == messages)
            }
        }
    }

    @Test func `goes nowhere with a number that was rolled back`() throws {
        var request = try Self.request()
        request.burnedFor = "errors tripled"
        let ruling = PromotionRules.judge(request, policy: PromotionPolicy())
        #expect(
            ruling.refusals.map(\.description)
                == ["version_burned: 1.2.0 is burned: it was rolled back for: errors tripled"])
    }

    @Test func `replaces what runs there, and nothing that is said to`() throws {
        var request = try Self.request()
        request.runningVersion = request.previousVersion
        #expect(Self.codes(request) == [])
        request.runningVersion = Version("1.0.0")
        #expect(Self.codes(request) == [.previousVersion, .compatibility], "1.0.0 does not run beside it")
        request.runningVersion = Version("1.1.0")
        request.previousVersion = nil
        let ruling = PromotionRules.judge(request, policy: PromotionPolicy())
        #expect(ruling.refusals == [])
        #expect(
            ruling.warnings == ["prod runs 1.1.0, release.yaml names no previousVersion: it goes by 1.1.0"])
    }

    @Test func `replaces what a person completed, with a warning`() throws {
        var request = try Self.request()
        request.runningVersion = Version("1.0.0")
        request.isPreviousPromoted = true
        let ruling = PromotionRules.judge(request, policy: PromotionPolicy())
        #expect(ruling.refusals == [], "it is compatible with 1.1.0")
        #expect(
            ruling.warnings == ["previousVersion is 1.1.0, promoted to prod and not sealed there, after 1.0.0"])
    }

    @Test func `goes nowhere where another took its place`() throws {
        var request = try Self.request()
        request.supersededBy = Version("1.3.0")
        let ruling = PromotionRules.judge(request, policy: PromotionPolicy())
        #expect(
            ruling.refusals.map(\.message)
                == ["1.3.0 has taken the place of 1.2.0 in prod: it is walked no more"])
    }

    @Test func `takes no report about another environment`() throws {
        var request = try Self.request()
        request.preconditions = request.preconditions.map { report in
            guard report.kind == .preflight else { return report }
            return Precondition(
                kind: .preflight, result: .passed, atSeconds: report.atSeconds, evidenceSHA256: report.evidenceSHA256,
                summary: "done", environment: .staging)
        }
        #expect(
            PromotionRules.judge(request, policy: PromotionPolicy()).refusals.map(\.description)
                == ["precondition: preflight: is about staging"])
    }

    @Test func `refuses a failed or missing report, and warns of old secrets`() throws {
        var request = try Self.request()
        request.preconditions.removeAll { $0.kind == .endToEndTests || $0.kind == .secretRotation }
        let ruling = PromotionRules.judge(request, policy: PromotionPolicy())
        #expect(ruling.refusals.map(\.message) == ["e2e_tests: there is no report"])
        #expect(ruling.warnings == ["secret_rotation: there is no report"])
        request.preconditions.append(
            Precondition(
                kind: .endToEndTests, result: .failed, atSeconds: Self.now, digests: request.train.artifacts,
                evidenceSHA256: String(repeating: "c", count: 64), summary: "411 of 412 passed"))
        #expect(
            PromotionRules.judge(request, policy: PromotionPolicy()).refusals.map(\.message)
                == ["e2e_tests: failed: 411 of 412 passed"])
    }

    @Test func `is frozen by a spent budget, but for fixes`() throws {
        var request = try Self.request()
        request.standings = [try Self.standing(bad: 1000)]
        #expect(Self.codes(request) == [.budgetSpent])
        let burning = [86_400, 7200].map {
            IndicatorEvidence.Window(seconds: $0, reading: .counted(Sample(total: 1000, bad: 31)))
        }
        request.standings = [try Self.standing(bad: 100, windows: burning)]
        #expect(Self.codes(request) == [.budgetBurning])
        request.standings = [.init(objective: try Self.standing(bad: 0).objective, thirtyDays: .missing)]
        #expect(Self.codes(request) == [.budgetUnknown])
        var fix = PromotionRequest(
            train: request.train, source: .staging, target: .prod, atSeconds: Self.now, planSHA256: Self.plan,
            bump: .patch)
        fix.seal = request.seal
        fix.soakMinutes = 120
        fix.approvals = request.approvals
        fix.preconditions = request.preconditions
        fix.standings = [try Self.standing(bad: 5000)]
        try Self.attest(&fix)
        #expect(Self.codes(fix) == [])
    }

    @Test(arguments: [Reading.partial(answered: 2, targets: 3), .stale(ageSeconds: 300), .reset])
    func `waits where nobody can say whether a budget burns too fast`(reading: Reading) throws {
        var request = try Self.request()
        request.standings = [try Self.standing(bad: 100, windows: Self.windows(reading))]
        #expect(
            PromotionRules.judge(request, policy: PromotionPolicy()).refusals.map(\.description) == [
                "budget_unknown: http-errors: nobody can say whether it burns too fast for a new release (1d/2h)"
            ])
        request.standings = [try Self.standing(bad: 100, windows: [])]
        #expect(Self.codes(request) == [.budgetUnknown])
    }

    @Test func `soaks only while there is traffic within budget`() throws {
        let objective = try Self.standing(bad: 0).objective
        func minutes(_ sample: Sample) -> Int {
            let intervals = (0...120).map { number in
                IndicatorEvidence.Interval(
                    endSeconds: Self.now + number * 30, canary: number < 61 ? .counted(sample) : .missing,
                    stable: .missing)
            }
            return Soak.minutes(
                of: [IndicatorEvidence(objective: "http-errors", intervals: intervals)], objectives: [objective],
                stepSeconds: 1800)
        }
        #expect(minutes(Sample(total: 60, bad: 0)) == 30)
        #expect(minutes(Sample(total: 4, bad: 0)) == 0)
        #expect(minutes(Sample(total: 60, bad: 1)) == 0)
    }
}
