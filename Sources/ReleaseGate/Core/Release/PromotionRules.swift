/// May this train go there? Each rule adds what it finds; none stops another from being heard.
package struct PromotionRules {
    private let request: PromotionRequest
    private let policy: PromotionPolicy
    private var refusals: [Refusal] = []
    private var warnings: [String] = []
    private var lines: [String] = []

    package static func judge(_ request: PromotionRequest, policy: PromotionPolicy) -> PromotionRuling {
        var rules = PromotionRules(request, policy)
        rules.judgePath()
        rules.judgeVersion()
        rules.judgeSeal()
        rules.judgeSoak()
        rules.judgeApprovals()
        rules.judgeSupplyChain()
        rules.judgeCompatibility()
        rules.judgePreconditions()
        rules.judgeBudgets()
        return PromotionRuling(
            refusals: rules.refusals, warnings: rules.warnings, lines: rules.lines,
            isBreakGlass: rules.skipsStaging, isDraft: request.target == .prod)
    }

    private init(_ request: PromotionRequest, _ policy: PromotionPolicy) {
        self.request = request
        self.policy = policy
    }

    private var skipsStaging: Bool { request.source == .dev && request.target == .prod && request.isHotfix }

    private mutating func judgePath() {
        let from = request.source?.rawValue ?? "build"
        let name = "\(from) to \(request.target.rawValue)"
        switch (request.source, request.target) {
        case (nil, .dev), (.dev, .staging), (.staging, .prod): lines.append("path: \(name)")
        case (.dev, .prod) where request.isHotfix && request.isGoLive:
            refusals.append(Refusal(.path, "a first production release does not skip staging"))
        case (.dev, .prod) where request.isHotfix && request.bump != .patch:
            refusals.append(Refusal(.path, "only a patch version may skip staging"))
        case (.dev, .prod) where request.isHotfix: lines.append("path: \(name), break-glass: staging is skipped")
        case (.dev, .prod): refusals.append(Refusal(.path, "\(name) is closed: staging comes between"))
        case (nil, _), (.dev, _), (.staging, _), (.prod, _): refusals.append(Refusal(.path, "\(name) is no way"))
        }
    }

    /// A number that was rolled back goes nowhere any more, and what is replaced is what runs.
    private mutating func judgeVersion() {
        if let reason = request.burnedFor {
            let text = "\(request.train.version) is burned: it was rolled back for: \(reason)"
            refusals.append(Refusal(.versionBurned, text))
        }
        let target = request.target.rawValue
        if let other = request.supersededBy {
            let text = "\(other) has taken the place of \(request.train.version) in \(target): it is walked no more"
            refusals.append(Refusal(.versionTaken, text))
        }
        guard let running = request.runningVersion, running != request.previousVersion else { return }
        guard let said = request.previousVersion else {
            warnings.append("\(target) runs \(running), release.yaml names no previousVersion: it goes by \(running)")
            return
        }
        if request.isPreviousPromoted {
            warnings.append("previousVersion is \(said), promoted to \(target) and not sealed there, after \(running)")
        } else {
            refusals.append(Refusal(.previousVersion, "\(target) runs \(running), previousVersion is \(said)"))
        }
    }

    private mutating func judgeSeal() {
        guard let source = request.source else { return }
        guard let seal = request.seal, seal.environment == source, seal.version == request.train.version else {
            refusals.append(
                Refusal(.seal, "\(source.rawValue) holds no standing certificate for \(request.train.version)"))
            return
        }
        let train = request.train.artifacts
        let different = Set(
            ArtifactDigest.differing(train, seal.artifacts)
                + ArtifactDigest.differing(train, request.sealedArtifacts ?? seal.artifacts))
        guard different.isEmpty else {
            let names = different.sorted().joined(separator: ", ")
            refusals.append(Refusal(.seal, "what \(source.rawValue) sealed is not what is promoted: \(names)"))
            return
        }
        lines.append("seal: \(source.rawValue) sealed these \(seal.artifacts.count) digests")
    }

    private mutating func judgeSoak() {
        let needed =
            switch request.source {
            case .dev: policy.soakMinutesDev
            case .staging: policy.soakMinutesStaging
            case .prod, nil: 0
            }
        guard needed > 0, !skipsStaging else { return }
        let text = "\(request.soakMinutes) of \(needed) minutes with traffic and green objectives"
        if request.soakMinutes < needed {
            refusals.append(Refusal(.soak, text))
        } else {
            lines.append("soak: \(text)")
        }
    }

    private mutating func judgeApprovals() {
        let ruling = ApprovalRules.judge(request, isBreakGlass: skipsStaging)
        refusals += ruling.refusals
        lines += ruling.lines
    }

    private mutating func judgeSupplyChain() {
        guard request.target != .dev else { return }
        let ruling = SupplyChainRules.judge(
            request.train, attestations: request.attestations, origin: request.origin)
        refusals += ruling.refusals
        lines += ruling.lines
    }

    private mutating func judgeCompatibility() {
        guard request.target != .dev else { return }
        let ruling = CompatibilityRules.judge(
            request.train.version, after: request.replacedVersion, bump: request.bump,
            request.compatibility)
        refusals += ruling.refusals
        warnings += ruling.warnings
        lines += ruling.lines
    }

    private mutating func judgePreconditions() {
        let ruling = PreconditionRules.judge(request)
        refusals += ruling.refusals
        warnings += ruling.warnings
        lines += ruling.lines
    }

    /// A spent budget freezes everything but signed fixes: a patch version's changelog may hold fixes alone, and
    /// production takes nothing without its approvals.
    private mutating func judgeBudgets() {
        guard request.target == .prod, !request.isGoLive else { return }
        for standing in request.standings where standing.objective.class == .blocking {
            let name = standing.objective.name
            guard let sample = standing.thirtyDays.sample,
                let left = BurnRate.remainingThousandths(sample, budget: standing.objective.budget)
            else {
                let why = standing.thirtyDays.lack ?? "no events"
                refusals.append(Refusal(.budgetUnknown, "\(name): 30 days of \(standing.objective.budget): \(why)"))
                continue
            }
            let text = "\(name): \(Decimal.text(thousandths: left * 100))% of the 30 days' budget is left"
            let burning = BurnRate.burning(
                policy.burnRules, severity: .holdReleases, budget: standing.objective.budget,
                windows: standing.windows)
            let uncounted = BurnRate.uncounted(
                policy.burnRules, severity: .holdReleases, windows: standing.windows)
            if request.bump == .patch {
                if left <= 0 { warnings.append("\(text): only fixes go") }
            } else if left <= 0 {
                refusals.append(Refusal(.budgetSpent, "\(text): everything but fixes is frozen"))
            } else if let rule = burning.first {
                refusals.append(Refusal(.budgetBurning, "\(name) burns too fast for a new release (\(rule.name))"))
            } else if let rule = uncounted.first {
                let text = "\(name): nobody can say whether it burns too fast for a new release (\(rule.name))"
                refusals.append(Refusal(.budgetUnknown, text))
            }
            lines.append("budget: \(text)")
        }
    }
}
