import Contracts
import SupervisorCore
import Testing

@Suite struct `Supervisor rules` {
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let escalation: EscalationCase
        let classification: EscalationCause.Classification
        /// The step in a word or two.
        let step: String
    }

    static let rows: [Row] = [
        Row(
            testDescription: "a guard goes to its fixer",
            escalation: escalation("guard", missingTests, guard: .hasTests),
            classification: .skillGap, step: "reassign tester by fixed_fix"),
        Row(
            testDescription: "a guard whose fixer had it stays there",
            escalation: escalation("guard", missingTests, guard: .hasTests, role: tester), classification: .skillGap,
            step: "retry by fixed_fix"),
        Row(
            testDescription: "nobody is handed work whose role no agent has",
            escalation: escalation("guard", missingTests, guard: .hasTests, online: [developer, supervisor]),
            classification: .skillGap, step: "ask synthesis"),
        Row(
            testDescription: "the same guard again is for an analyst",
            escalation: escalation(
                "guard", missingTests, guard: .hasTests, earlier: [before("guard", missingTests, guard: .hasTests)]),
            classification: .skillGap, step: "ask synthesis"),
        Row(
            testDescription: "one guard after another is a conflict, and each has its fix",
            escalation: escalation(
                "guard", missingTests, guard: .hasTests, earlier: [before("guard", "x", guard: .codeQuality)]),
            classification: .agentConflict, step: "reassign tester by fixed_fix"),
        Row(
            testDescription: "too slow gets twice the time", escalation: escalation("failure", tooSlow),
            classification: .processIssue, step: "raise_deadline 120 by more_time"),
        Row(
            testDescription: "never more than a task may have",
            escalation: escalation("failure", tooSlow, timeout: 50_000), classification: .processIssue,
            step: "raise_deadline 86400 by more_time"),
        Row(
            testDescription: "no more time to give", escalation: escalation("failure", tooSlow, timeout: 86_400),
            classification: .processIssue, step: "lower_scope by less_scope"),
        Row(
            testDescription: "too slow again does less",
            escalation: escalation("failure", tooSlow, earlier: [before("failure", tooSlow)]),
            classification: .processIssue, step: "lower_scope by less_scope"),
        Row(
            testDescription: "too slow a third time",
            escalation: escalation(
                "failure", tooSlow, earlier: [before("failure", tooSlow), before("failure", tooSlow)]),
            classification: .processIssue, step: "ask synthesis"),
        Row(
            testDescription: "every attempt failed", escalation: escalation("failure", usedUp),
            classification: .processIssue, step: "retry by retry"),
        Row(
            testDescription: "every attempt failed so before",
            escalation: escalation("failure", usedUp, earlier: [before("failure", usedUp)]),
            classification: .processIssue, step: "ask synthesis"),
        Row(
            testDescription: "gave up", escalation: escalation("failure", gaveUp), classification: .skillGap,
            step: "ask synthesis"),
        Row(
            testDescription: "gave up, and no analyst", escalation: escalation("failure", gaveUp, online: [developer]),
            classification: .skillGap, step: "human no_analyst"),
        Row(
            testDescription: "nobody approved", escalation: escalation("approval_deadline", "Nobody approved."),
            classification: .processIssue, step: "raise_deadline 86400 by ask_again"),
        Row(
            testDescription: "nobody approved, whatever the budget",
            escalation: escalation("approval_deadline", "Nobody approved.", budgetLeft: 0),
            classification: .processIssue, step: "raise_deadline 86400 by ask_again"),
        Row(
            testDescription: "nobody approved again",
            escalation: escalation(
                "approval_deadline", "Nobody approved.", earlier: [before("approval_deadline", "Nobody.")]),
            classification: .processIssue, step: "human needs_human"),
        Row(
            testDescription: "reviewers disagree", escalation: escalation("review", "A tie."),
            classification: .agentConflict, step: "ask consensus"),
        Row(
            testDescription: "reviewers agree that it is bad",
            escalation: escalation("review", "Refused three times.", filedAs: .skillGap), classification: .skillGap,
            step: "ask synthesis"),
        Row(
            testDescription: "too few reviewers voted",
            escalation: escalation("review", "Missing.", budgetLeft: 0, filedAs: .processIssue),
            classification: .processIssue, step: "raise_deadline 3600 by ask_again"),
        Row(
            testDescription: "too few reviewers voted again",
            escalation: escalation(
                "review", "Missing.", earlier: [before("review", "Missing.", filedAs: .processIssue)],
                filedAs: .processIssue), classification: .processIssue, step: "human needs_human"),
        Row(
            testDescription: "an agent asks how to go on", escalation: escalation("agent", "Which of the two?"),
            classification: .processIssue, step: "ask synthesis"),
        Row(
            testDescription: "an agent asks, and no analyst",
            escalation: escalation("agent", "Which of the two?", online: [developer]),
            classification: .processIssue, step: "human no_analyst"),
        Row(
            testDescription: "an agent asks again",
            escalation: escalation("agent", "Which now?", earlier: [before("agent", "Which of the two?")]),
            classification: .processIssue, step: "human needs_human"),
        Row(
            testDescription: "a dead letter", escalation: escalation("dead_letter", "Dead letter 1: undecodable."),
            classification: .processIssue, step: "retry by retry"),
        Row(
            testDescription: "a dead letter again",
            escalation: escalation(
                "dead_letter", "Dead letter 2.", earlier: [before("dead_letter", "Dead letter 1.")]),
            classification: .processIssue, step: "human needs_human"),
        Row(
            testDescription: "a source without rules", escalation: escalation("flood", "x"),
            classification: .processIssue, step: "human needs_human"),
        Row(
            testDescription: "no budget", escalation: escalation("failure", usedUp, budgetLeft: 0),
            classification: .processIssue, step: "human budget_used_up"),
        Row(
            testDescription: "overdrawn",
            escalation: escalation("guard", missingTests, guard: .hasTests, budgetLeft: -5),
            classification: .skillGap, step: "human budget_used_up"),
        Row(
            testDescription: "some budget", escalation: escalation("failure", usedUp, budgetLeft: 1),
            classification: .processIssue, step: "retry by retry"),
        Row(
            testDescription: "two automatic resolutions are enough",
            escalation: escalation(
                "guard", missingTests, guard: .hasTests,
                earlier: [
                    before("failure", usedUp, isAutomatic: true), before("failure", tooSlow, isAutomatic: true),
                ]), classification: .skillGap, step: "human automatic_used_up"),
        Row(
            testDescription: "humans' resolutions do not count",
            escalation: escalation(
                "guard", missingTests, guard: .hasTests,
                earlier: [
                    before("failure", usedUp), before("failure", tooSlow), before("failure", gaveUp, isAutomatic: true),
                ]), classification: .skillGap, step: "reassign tester by fixed_fix"),
    ]

    @Test(arguments: rows)
    func `each trouble has its class and its step`(row: Row) {
        let plan = SupervisorRules(automaticMax: 2).plan(for: row.escalation)
        #expect(plan.classification == row.classification)
        #expect(plan.step.words == row.step)
    }

    @Test func `whatever goes wrong, a task is resolved at most so often without a human`() {
        let troubles: [(String, String, Guard?)] =
            [
                ("failure", tooSlow, nil), ("failure", usedUp, nil), ("failure", gaveUp, nil),
                ("approval_deadline", "Nobody.", nil), ("review", "A tie.", nil),
            ] + Guard.allCases.map { ("guard", "After 3 rounds.", $0) }
        for automaticMax in 0...3 {
            let rules = SupervisorRules(automaticMax: automaticMax)
            for seed in 0..<200 {
                var (earlier, automatic, dice) = ([EscalationCase.Earlier](), 0, UInt64(seed) &* 0x9E37_79B9_7F4A_7C15)
                for _ in 0..<12 {
                    dice = dice &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    let (source, reason, failed) = troubles[Int(dice >> 33) % troubles.count]
                    let step = rules.plan(for: escalation(source, reason, guard: failed, earlier: earlier)).step
                    let isAutomatic = if case .leaveToHuman = step { false } else { true }
                    if isAutomatic { automatic += 1 }
                    earlier.append(before(source, reason, guard: failed, isAutomatic: isAutomatic))
                }
                #expect(automatic <= automaticMax)
            }
        }
    }

    @Test func `a plan says what to do and is never too long`() throws {
        let step = SupervisorRules(automaticMax: 2).plan(for: escalation("guard", missingTests, guard: .hasTests)).step
        guard case .resolve(let resolution, _) = step else { throw JSONError(.wrongShape, path: "", "no resolution") }
        let plan = try #require(resolution.plan)
        #expect(plan.text.contains(#""guard":"has_tests","role":"tester""#) && plan.text.contains(Guard.hasTests.fix))
        let long = "busy: \(String(repeating: "\u{1}", count: 4096)) (after 5 attempts)"
        let retried = SupervisorRules(automaticMax: 2).plan(for: escalation("failure", long)).step
        guard case .resolve(let retry, _) = retried else { throw JSONError(.wrongShape, path: "", "no resolution") }
        #expect(try #require(retry.plan).bytes.count <= Resolution.planBytesMax)
    }
}

extension SupervisorStep {
    var words: String {
        switch self {
        case .resolve(.reassign(let role, _), let rule): "reassign \(role) by \(rule)"
        case .resolve(.raiseDeadline(let seconds, _), let rule): "raise_deadline \(seconds) by \(rule)"
        case .resolve(let resolution, let rule): "\(resolution.word.rawValue) by \(rule)"
        case .ask(let form): "ask \(form.rawValue)"
        case .leaveToHuman(let reason): "human \(reason.rawValue)"
        }
    }
}
