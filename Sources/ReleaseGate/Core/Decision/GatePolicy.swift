/// The rules one decision is made by. Its digest stands beside every decision, so that nobody can change them unseen.
package struct GatePolicy: Sendable, Equatable, Codable {
    package let objectives: [ServiceLevelObjective]
    /// The canary's share of traffic in each step, in percent.
    package let stepPercents: [Int]
    package let stepSeconds: Int
    /// A step that lacks evidence may take that many times as long before the gate gives up waiting.
    package let extensionsMax: Int
    /// Thousandths: the chance that a good release is called worse, over all indicators and looks.
    package let falseAlarmThousandths: Int
    package let burnRules: [BurnRule]

    package init(
        objectives: [ServiceLevelObjective], stepPercents: [Int] = Self.canary, stepSeconds: Int = 1800,
        extensionsMax: Int = 3, falseAlarmThousandths: Int = 10, burnRules: [BurnRule] = BurnRule.standard
    ) {
        self.objectives = objectives
        self.stepPercents = stepPercents
        self.stepSeconds = stepSeconds
        self.extensionsMax = extensionsMax
        self.falseAlarmThousandths = falseAlarmThousandths
        self.burnRules = burnRules
    }

    package static let canary = [10, 50, 100]
    package static let blueGreen = [0, 100]
}
