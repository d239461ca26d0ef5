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

    /// What is wrong with the steps, in words; nil when nothing is. Where the last is not all traffic, a part would
    /// seal the whole.
    package var stepsFault: String? {
        let isRising = zip(stepPercents, stepPercents.dropFirst()).allSatisfy { $0 < $1 }
        guard stepPercents.last == 100, isRising, !stepPercents.contains(where: { $0 < 0 }) else {
            return "steps must rise from 0% or more to 100%: \(stepPercents)"
        }
        return nil
    }

    package static let canary = [10, 50, 100]
    package static let blueGreen = [0, 100]
}
