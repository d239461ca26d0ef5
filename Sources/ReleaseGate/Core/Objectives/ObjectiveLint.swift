/// What is wrong with a set of objectives before anything is measured by them.
package enum ObjectiveLint {
    package struct Finding: Sendable, Equatable, Codable, CustomStringConvertible {
        package enum Rule: String, Sendable, Codable, CaseIterable {
            case badName = "bad_name"
            case duplicateName = "duplicate_name"
            case emptyQuery = "empty_query"
            case sameQuery = "same_query"
            case windowNotThirtyDays = "window_not_30_days"
            /// A burn that would need more than all events to be bad.
            case burnBeyondAll = "burn_beyond_all"
            case floorBeyondTraffic = "floor_beyond_traffic"
            case nothingBlocks = "nothing_blocks"
            case badSteps = "bad_steps"
        }

        package let rule: Rule
        /// The objective's name; empty for the set as a whole.
        package let objective: String
        package let message: String

        package var description: String { objective.isEmpty ? message : "\(objective): \(message)" }
    }

    /// A step must bring so many events with one a second, or the objective would hold every release up.
    private static let floorMax = 5400

    package static func findings(_ policy: GatePolicy) -> [Finding] {
        var findings: [Finding] = []
        var seen: Set<String> = []
        for objective in policy.objectives {
            if !seen.insert(objective.name).inserted {
                findings.append(finding(.duplicateName, objective, "there is another objective of that name"))
            }
            findings += self.findings(objective, rules: policy.burnRules)
        }
        if !policy.objectives.contains(where: { $0.class == .blocking }) {
            findings.append(Finding(rule: .nothingBlocks, objective: "", message: "no objective is blocking"))
        }
        if let fault = policy.stepsFault {
            findings.append(Finding(rule: .badSteps, objective: "", message: fault))
        }
        return findings
    }

    private static func findings(_ objective: ServiceLevelObjective, rules: [BurnRule]) -> [Finding] {
        var findings: [Finding] = []
        let isName = objective.name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
        if objective.name.isEmpty || !isName {
            findings.append(finding(.badName, objective, "a name is of a-z, 0-9 and -"))
        }
        let queries = [objective.indicator.bad, objective.indicator.total]
        if queries.contains(where: { $0.allSatisfy(\.isWhitespace) }) {
            findings.append(finding(.emptyQuery, objective, "bad and total both need a query"))
        } else if queries[0] == queries[1] {
            findings.append(finding(.sameQuery, objective, "bad and total are the same query: all would be bad"))
        }
        if objective.windowDays != 30 {
            findings.append(
                finding(.windowNotThirtyDays, objective, "the window is \(objective.windowDays) days, not rolling 30"))
        }
        for rule in rules where rule.factorThousandths * objective.budget.partsPerMillion >= 1000 * ErrorBudget.whole {
            let factor = Decimal.text(thousandths: rule.factorThousandths)
            findings.append(
                finding(
                    .burnBeyondAll, objective,
                    "\(rule.name) at \(factor) times a budget of \(objective.budget) is more than all events"))
        }
        let floor = AbsoluteTest.floor(of: objective.budget)
        if floor > floorMax {
            findings.append(
                finding(.floorBeyondTraffic, objective, "a budget of \(objective.budget) needs \(floor) events a step"))
        }
        return findings
    }

    private static func finding(
        _ rule: Finding.Rule, _ objective: ServiceLevelObjective, _ message: String
    ) -> Finding {
        Finding(rule: rule, objective: objective.name, message: message)
    }
}
