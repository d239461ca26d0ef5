package import Contracts

/// What is done about an escalation: a pure function of the case.
///
/// | trouble | the first time in a task | again |
/// |---|---|---|
/// | a guard keeps failing | its fix, to its fixer | an analyst |
/// | attempts too slow | twice the time | less to do, then an analyst |
/// | every attempt failed | once more, with the failure in the plan | an analyst |
/// | an agent gave up | an analyst | an analyst |
/// | reviewers refused it | an analyst | an analyst |
/// | reviewers disagree | an analyst, who judges | an analyst |
/// | an agent asked | an analyst | a human |
/// | a dead letter | once more | a human |
/// | reviewers missing, or nobody approved | the same question once more | a human |
///
/// A task has `automaticMax` of these at most, analysts' included; then a human decides. So rules cannot loop. What
/// would hand out work waits for a human too once the task's budget is used up.
package struct SupervisorRules: Sendable {
    /// Who analyses.
    package static let analyst = AgentRole(literal: "supervisor")
    /// How long humans are asked the second time, and reviewers.
    static let approvalSeconds = 86_400
    static let reviewSeconds = 3600
    /// The longest an attempt may be given.
    static let attemptSecondsMax = TaskSubmission.timeoutRange.upperBound

    /// Resolutions of one task without a human.
    package let automaticMax: Int

    package init(automaticMax: Int) {
        self.automaticMax = automaticMax
    }

    package func plan(for escalation: EscalationCase) -> EscalationPlan {
        EscalationPlan(
            classification: escalation.classification, signature: escalation.signature, step: step(for: escalation)
        )
    }

    private func step(for escalation: EscalationCase) -> SupervisorStep {
        guard escalation.automaticCount < automaticMax else { return .leaveToHuman(.automaticUsedUp) }
        let isAgain = escalation.troublesBefore.contains(escalation.trouble)
        if let seconds = Self.secondsToAskAgain(escalation.trouble) {
            if isAgain { return .leaveToHuman(.needsHuman) }
            return .resolve(.raiseDeadline(seconds: seconds, plan: nil), rule: "ask_again")
        }
        if let left = escalation.budgetLeft, left <= 0 { return .leaveToHuman(.budgetUsedUp) }
        switch escalation.trouble {
        case .guardFailing(let failed): return isAgain ? ask(.synthesis, escalation) : fix(failed, escalation)
        case .tooSlow: return giveTime(escalation)
        case .attemptsUsedUp:
            if isAgain { return ask(.synthesis, escalation) }
            return .resolve(.retry(plan: ActionPlan.again(escalation.reason)), rule: "retry")
        case .gaveUp: return ask(.synthesis, escalation)
        // Who asks again was not helped by an analyst.
        case .agentAsked: return isAgain ? .leaveToHuman(.needsHuman) : ask(.synthesis, escalation)
        case .messageLost:
            if isAgain { return .leaveToHuman(.needsHuman) }
            return .resolve(.retry(plan: ActionPlan.again(escalation.reason)), rule: "retry")
        case .workRefused: return ask(.synthesis, escalation)
        case .reviewersDisagree: return ask(.consensus, escalation)
        case .nobodyApproved, .reviewersMissing, .unknown: return .leaveToHuman(.needsHuman)
        }
    }

    /// For what was not answered in time; nil for every other trouble. Nobody needs the task's budget to answer.
    private static func secondsToAskAgain(_ trouble: Trouble) -> Int? {
        switch trouble {
        case .nobodyApproved: approvalSeconds
        case .reviewersMissing: reviewSeconds
        case .guardFailing, .tooSlow, .attemptsUsedUp, .gaveUp, .reviewersDisagree, .workRefused, .agentAsked,
            .messageLost, .unknown:
            nil
        }
    }

    /// The guard's fixed fix. Nobody is handed work whose role no agent has.
    private func fix(_ failed: Guard, _ escalation: EscalationCase) -> SupervisorStep {
        let plan = ActionPlan.fix(failed, after: escalation.rework)
        if failed.fixer == escalation.role { return .resolve(.retry(plan: plan), rule: "fixed_fix") }
        guard escalation.rolesOnline.contains(failed.fixer) else { return ask(.synthesis, escalation) }
        return .resolve(.reassign(failed.fixer, plan: plan), rule: "fixed_fix")
    }

    /// More time first, then less to do in it.
    private func giveTime(_ escalation: EscalationCase) -> SupervisorStep {
        let before = escalation.troublesBefore.count { $0 == .tooSlow }
        let seconds = min(2 * escalation.timeoutSeconds, Self.attemptSecondsMax)
        if before == 0, seconds > escalation.timeoutSeconds {
            return .resolve(.raiseDeadline(seconds: seconds, plan: ActionPlan.moreTime(seconds)), rule: "more_time")
        }
        if before <= 1 {
            let plan = ActionPlan.less(escalation.timeoutSeconds)
            return .resolve(.lowerScope(plan: plan), rule: "less_scope")
        }
        return ask(.synthesis, escalation)
    }

    private func ask(_ form: AnalysisForm, _ escalation: EscalationCase) -> SupervisorStep {
        escalation.rolesOnline.contains(Self.analyst) ? .ask(form) : .leaveToHuman(.noAnalyst)
    }
}

/// The plans that rules give to agents: what stands in a work item's `plan`.
enum ActionPlan {
    static func fix(_ failed: Guard, after rounds: Int) -> JSON {
        JSONWriter.object { writer in
            writer.field(
                "fixes",
                array: { writer in
                    writer.element(object: {
                        $0.field("guard", failed.rawValue)
                        $0.field("role", failed.fixer.text)
                        $0.field("fix", failed.fix)
                    })
                })
            writer.field(
                "note",
                "\(rounds) rounds of rework have not made \(failed.rawValue) hold. Do this one thing, check it, and "
                    + "say so in checks.")
        }
    }

    /// Scalars of a reason that are handed on: each is six bytes at most.
    static let reasonMax = 1000

    /// - Parameter reason: goes back to the tenant's own agents, as data.
    static func again(_ reason: String) -> JSON {
        JSONWriter.object {
            $0.field("note", "Every attempt before has failed. Look at how, and try another way.")
            $0.field("failed_with", String(String.UnicodeScalarView(reason.unicodeScalars.prefix(reasonMax))))
        }
    }

    static func moreTime(_ seconds: Int) -> JSON {
        JSONWriter.object {
            $0.field("note", "The attempts before ran out of time. There are \(seconds) s now: report before they end.")
        }
    }

    static func less(_ seconds: Int) -> JSON {
        JSONWriter.object {
            $0.field(
                "note",
                "The attempts before ran out of time. Do the smallest part that is of use within \(seconds) s, and say "
                    + "what is left out.")
        }
    }
}
