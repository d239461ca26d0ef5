internal import Contracts
internal import Foundation
internal import ReleaseGateCore

extension GateSession {
    /// Moves chart, application and changelog to the next version, and remembers that it was minted. Killed in between,
    /// it goes on where it was.
    package func cut(version text: String, chart folder: String, changelog: String?) async throws {
        guard let version = Version(text) else { throw GateError(.invalid, "\(text) is no semantic version.") }
        let chartPath = "\(folder)/Chart.yaml"
        let changelogPath = changelog ?? "\(folder)/CHANGELOG.md"
        let chart = try ChartFile(text: try GateFiles.text(chartPath), from: chartPath)
        let today = String(Timestamp.text(nowSeconds).prefix(10))
        let reason = "\(chart.name) \(chart.version) -> \(version)"
        let entries = try await book.entries()
        // Recorded, and killed before the chart, which is last, had moved.
        let own = entries.map(\.event).filter { $0.version == version }
        let isResumed = own.map(\.kind) == [.cut] && own[0].reason == reason
        var log = try GateFiles.text(changelogPath)
        if !isResumed || !ChangelogEdit.has(version, in: log) {
            log = try ChangelogEdit.cut(log, version: version, date: today)
        }
        let minted = Lineage.minted(entries).filter { !isResumed || $0.version != version }
        let known = minted.contains { $0.version == chart.version } ? minted : minted + [MintedVersion(chart.version)]
        let cut = CutRules.Chart(
            version: version.description, appVersion: version.description,
            breaking: chart.breaking, images: [])
        let parsed: Changelog
        do { parsed = try Changelog(parsing: log) } catch {
            throw GateError(.invalid, "\(changelogPath), \(error).")
        }
        try refuse(
            CutRules.refusals(version, minted: known, chart: cut, changelog: parsed)
                + CompatibilityRules.refusals(cutting: version, configuration.compatibility),
            "\(version) cannot be cut")
        if !isResumed {
            try await book.record(
                LineageEntry.Event(
                    atSeconds: nowSeconds, environment: .dev, version: version, digests: [], kind: .cut, actor: actor,
                    reason: reason))
        }
        try GateFiles.replace(changelogPath, with: log.utf8)
        try GateFiles.replace(chartPath, with: chart.bumped(to: version).utf8)
        console.print("\(chart.name) is \(version) now: \(chartPath), \(changelogPath).")
        console.print("Next: git commit, then git tag -a v\(version) -m \"\(chart.name) \(version)\"")
    }

    /// Checks every rule of a promotion, and records it.
    ///
    /// - Parameters:
    ///   - approvals: a folder of signed approvals.
    ///   - certificate: the source environment's; its key is one of `gate.yaml`'s.
    ///   - gitOps: the environment's file to patch and the folder for patch and pull request.
    ///   - repository: must hold the release's tag; and with `opens`, its pull request is opened from there.
    package func promote(
        _ release: ReleaseFile, from sourceName: String, to targetName: String, approvals: String?,
        certificate: String?, gitOps: (file: String, out: String)?, repository: String? = nil,
        opens: Bool = false
    ) async throws {
        let (source, target) = (try Self.environment(sourceName), try Self.environment(targetName))
        let plan = try ReleasePlan(release, target, configuration.policy)
        var documents = [LineageDocument(.plan, try plan.bytes())]
        let signed = try readApprovals(approvals, into: &documents)
        var request = try await request(
            release, plan, from: source, to: target, approvals: signed,
            certificate: try readCertificate(certificate, into: &documents))
        request.attestations = try attestations(of: release, into: &documents)
        let ruling = PromotionRules.judge(request, policy: PromotionPolicy(burnRules: configuration.policy.burnRules))
        var tag: TagRules.Ruling?
        if let repository { tag = try await tagRuling(release, repository: repository) }
        for line in ruling.lines + (tag?.line.map { [$0] } ?? []) { console.print("ok       \(line)") }
        for line in ruling.warnings { console.print("warning  \(line)") }
        try refuse(
            ruling.refusals + (tag?.refusals ?? []), "\(release.train.version) cannot be promoted to \(target.rawValue)"
        )
        var files: GitOpsFiles?
        if let gitOps {
            let written = try GitOpsFiles(
                train: release.train, from: source, to: target,
                file: PullRequest.place(of: gitOps.file, in: repository),
                text: try GateFiles.text(gitOps.file), checks: ruling.lines, planSHA256: try plan.sha256(),
                rollbackTo: request.replacedVersion)
            try written.write(to: gitOps.out)
            files = written
            console.print("Written to \(gitOps.out): promotion.patch, pull-request.md, draft (\(written.isDraft)),")
            console.print("and for the way back rollback.patch, rollback-pull-request.md, rollback-labels.")
        }
        if ruling.isBreakGlass {
            try await record(.breakGlass, release, target, "staging was skipped for a fix", documents)
        }
        try await record(.promote, release, target, "from \(source.rawValue), plan \(try plan.sha256())", documents)
        console.print("\(release.train.version) may run in \(target.rawValue).")
        if opens, let files, let gitOps, let repository {
            let request = PullRequest(
                runner: try runner(isArmed: true), repository: repository, folder: gitOps.out, files: files,
                branch: "promote-\(release.train.version)-\(target.rawValue)")
            try await request.open(try places(release, target, reason: files.title))
        }
        console.print("Next: release-gate canary --env \(target.rawValue) --carry-out")
    }

    /// Whether the release's annotated tag exists and points at the commit that is released.
    func tagRuling(_ release: ReleaseFile, repository: String) async throws -> TagRules.Ruling {
        let facts = try await GitTag.facts("v\(release.train.version)", in: repository)
        return TagRules.judge(facts, version: release.train.version, commit: release.commit)
    }

    /// The same, on its own.
    package func verifyTag(_ release: ReleaseFile, repository: String) async throws {
        let ruling = try await tagRuling(release, repository: repository)
        try refuse(ruling.refusals, "\(release.train.version) is not tagged as it must be")
        if let line = ruling.line { console.print(line) }
    }

    private func readApprovals(
        _ folder: String?, into documents: inout [LineageDocument]
    ) throws(GateError) -> [Approval] {
        guard let folder else { return [] }
        let trusted = try configuration.trustedKeys()
        var approvals: [Approval] = []
        for name in try GateFiles.names(in: folder) where name.hasSuffix(".json") {
            let envelope = try DSSEEnvelope(file: "\(folder)/\(name)")
            approvals.append(try Approvals.read(envelope, from: "\(folder)/\(name)", trusted: trusted))
            documents.append(LineageDocument(.approval, Array(envelope.json.bytes)))
        }
        return approvals
    }

    private func readCertificate(
        _ path: String?, into documents: inout [LineageDocument]
    ) throws(GateError) -> SealedCertificate? {
        guard let path else { return nil }
        let keys = try publicKeys(nil)
        documents.append(LineageDocument(.certificate, try GateFiles.read(path)))
        return try SealedCertificate(file: path, keys: keys)
    }

    /// Gathers what speaks for a promotion. A certificate counts as long as the lineage upholds its seal.
    ///
    /// - Throws: `tampered` when the lineage is not the one that the certificate was made of.
    private func request(
        _ release: ReleaseFile, _ plan: ReleasePlan, from source: DeployEnvironment, to target: DeployEnvironment,
        approvals: [Approval], certificate: SealedCertificate?
    ) async throws -> PromotionRequest {
        let entries = try await book.entries()
        let version = release.train.version
        if let certificate,
            try !Lineage.grew(from: certificate.lineageSize, root: certificate.lineageRoot, to: entries)
        {
            throw GateError(
                .tampered,
                "The certificate is of a lineage of \(certificate.lineageSize) entries, and this one of "
                    + "\(entries.count) does not begin with them: some were taken off or exchanged.")
        }
        let minted = Lineage.minted(entries)
        let running = Lineage.predecessor(of: version, in: target, by: entries)
        let replaced = Lineage.replaced(by: version, said: release.previousVersion, in: target, by: entries)
        let bump = replaced.flatMap {
            VersionRules.size(of: version, over: $0, minted: minted)
        }
        var request = PromotionRequest(
            train: release.train, source: source, target: target, atSeconds: nowSeconds,
            planSHA256: try plan.sha256(), bump: bump)
        request.isHotfix = release.isHotfix
        request.isGoLive = release.isGoLive
        request.approvals = approvals
        request.preconditions = release.preconditions
        request.origin = origin(of: release)
        request.previousVersion = release.previousVersion
        request.runningVersion = running
        request.isPreviousPromoted = replaced != running
        if case .superseded(let other) = WalkState(entries, environment: target, version: version).phase {
            request.supersededBy = other
        }
        request.burnedFor = minted.first { $0.version == version }?.rolledBackFor
        request.compatibility = configuration.compatibility
        let standing = Lineage.seal(of: version, in: source, by: entries)
        request.seal = standing == nil ? nil : certificate?.seal
        // The manifests are rendered for each environment.
        request.sealedArtifacts = standing?.event.digests.filter { $0.name != release.train.manifests.name }
        try await look(at: Self.date(nowSeconds))
        let state = WalkState(entries, environment: source, version: version)
        if standing != nil { request.soakMinutes = try await soakMinutes(release, in: source, state) }
        request.standings = try await standings(release, in: target)
        return request
    }

    /// Minutes with traffic and green objectives since the walk began, until another version was sealed there.
    private func soakMinutes(
        _ release: ReleaseFile, in environment: DeployEnvironment, _ state: WalkState
    ) async throws -> Int {
        let end = state.nextSeal.map { Self.date($0.event.atSeconds) } ?? .distantFuture
        let moment = state.moment(now: min(clock.now(), end))
        let services = release.train.cars.map(\.service)
        let indicators = try await collector(in: environment).history(services: services, at: moment)
        return Soak.minutes(
            of: indicators, objectives: configuration.policy.objectives.filter { services.contains($0.service) },
            stepSeconds: configuration.policy.stepSeconds)
    }

    /// Where the budgets stand now, on the stable side.
    private func standings(
        _ release: ReleaseFile, in environment: DeployEnvironment
    ) async throws -> [PromotionRequest.Standing] {
        let now = clock.now()
        let moment = EvidenceCollector.Moment(walkBegan: now, stepBegan: now, now: now)
        let evidence = try await collector(in: environment).collect(
            services: release.train.cars.map(\.service), at: moment)
        let indicators = evidence.services.flatMap(\.indicators)
        let names = Set(release.train.cars.map(\.service))
        return configuration.policy.objectives.filter { names.contains($0.service) }.map { objective in
            let windows = indicators.first { $0.objective == objective.name }?.stableBurn.now ?? []
            let whole = windows.first { $0.seconds == objective.windowDays * 86_400 }?.reading ?? .missing
            return PromotionRequest.Standing(objective: objective, thirtyDays: whole, windows: windows)
        }
    }

    /// - Throws: `refused` with every reason, one a line.
    func refuse(_ refusals: [Refusal], _ what: String) throws(GateError) {
        guard !refusals.isEmpty else { return }
        throw GateError(.refused, ([what + ":"] + refusals.map { "  - \($0)" }).joined(separator: "\n"))
    }
}
