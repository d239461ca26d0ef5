/// How fast one role's prompt may change by itself: the body of `PUT /governance/rules/{role}`.
package struct GovernanceRules: Sendable, Equatable {
    package static let updatesRange: ClosedRange<Int> = 0...1000
    package static let cooldownRange: ClosedRange<Int> = 0...8760
    /// Stands for the version of a role without rules.
    package static let versionOfNone = "none"

    /// In any 24 hours; 0 lets nothing pass without a human.
    package let updatesPerDayMax: Int
    package let cooldownHours: Int
    package let requiresHumanApproval: Bool

    package init(updatesPerDayMax: Int, cooldownHours: Int, requiresHumanApproval: Bool) {
        self.updatesPerDayMax = updatesPerDayMax
        self.cooldownHours = cooldownHours
        self.requiresHumanApproval = requiresHumanApproval
    }

    package init(json: JSON) throws(JSONError) {
        var body = try JSONReader(json)
        updatesPerDayMax = try Self.bounded("max_updates_per_day", Self.updatesRange, in: &body)
        cooldownHours = try Self.bounded("cooldown_hours", Self.cooldownRange, in: &body)
        guard let approval = try body.optionalBool("require_human_approval") else {
            throw body.error("require_human_approval", "is required")
        }
        requiresHumanApproval = approval
        try body.refuseUnknown()
    }

    package var json: JSON {
        JSONWriter.object {
            $0.field("max_updates_per_day", updatesPerDayMax)
            $0.field("cooldown_hours", cooldownHours)
            $0.field("require_human_approval", requiresHumanApproval)
        }
    }

    /// Names these rules for `If-Match`: equal rules are the same version, whoever set them and when.
    package var version: String { "\(updatesPerDayMax)-\(cooldownHours)-\(requiresHumanApproval ? "human" : "auto")" }

    private static func bounded(
        _ field: String, _ range: ClosedRange<Int>, in body: inout JSONReader
    ) throws(JSONError) -> Int {
        let value = try body.int(field)
        guard range.contains(value) else {
            throw body.error(field, "must be from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }
}
