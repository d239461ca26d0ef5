internal import Foundation
internal import ReleaseGateCore

extension GateSession {
    /// Lists what is wrong with the objectives and steps.
    ///
    /// - Returns: false when something is.
    package func lint() -> Bool {
        let findings = ObjectiveLint.findings(configuration.policy)
        for finding in findings { console.print("\(finding.rule.rawValue): \(finding)") }
        let count = configuration.policy.objectives.count
        console.print(
            findings.isEmpty ? "\(count) objectives, nothing to find fault with." : "\(findings.count) faults.")
        return findings.isEmpty
    }

    /// How much of each budget is left, and what burns.
    ///
    /// - Parameter name: the environment whose evidence counts; nil where one namespace or all do.
    package func status(environment name: String? = nil, at: Int?) async throws {
        var environment: DeployEnvironment?
        if let name { environment = try Self.environment(name) }
        let now = at ?? nowSeconds
        if at == nil { try await look(at: Self.date(now)) }
        let policy = configuration.policy
        let moment = EvidenceCollector.Moment(
            walkBegan: Self.date(now), stepBegan: Self.date(now), now: Self.date(now))
        let evidence = try await collector(in: environment).collect(
            services: Set(policy.objectives.map(\.service)).sorted(), at: moment)
        var rows: [[String]] = []
        for objective in policy.objectives {
            let indicator = evidence.services.first { $0.service == objective.service }?.indicators
                .first { $0.objective == objective.name }
            let windows = indicator?.stableBurn.now ?? []
            let whole = windows.first { $0.seconds == objective.windowDays * 86_400 }?.reading
            let burning = BurnRule.Severity.allCases.flatMap { severity in
                BurnRate.burning(policy.burnRules, severity: severity, budget: objective.budget, windows: windows)
                    .map { "\(severity.rawValue) \($0.name)" }
            }
            rows.append([
                objective.name, objective.service, objective.budget.description, Self.counts(whole),
                Self.left(whole, objective.budget), burning.isEmpty ? "-" : burning.joined(separator: ", "),
            ])
        }
        console.table(["OBJECTIVE", "SERVICE", "BUDGET", "BAD/TOTAL", "LEFT", "BURNS"], rows)
        console.note("Stable's \(configuration.sides.stable) from \(source.name), as of \(Self.text(now)).")
    }

    private static func counts(_ reading: Reading?) -> String {
        guard let reading else { return "not asked" }
        return reading.sample.map { "\($0.bad)/\($0.total)" } ?? reading.lack ?? "-"
    }

    private static func left(_ reading: Reading?, _ budget: ErrorBudget) -> String {
        guard let sample = reading?.sample, let left = BurnRate.remainingThousandths(sample, budget: budget) else {
            return "-"
        }
        return "\(left / 10).\(abs(left % 10))%"
    }
}
