/// A named, versioned list of stages a task goes through. A running task keeps the version it started with.
package struct Workflow: Sendable, Equatable {
    package static let stagesRange = 1...10
    /// How often work is sent back by itself before somebody has to look at it.
    package static let reworkMax = 3

    package let name: WorkflowName
    package let version: Int
    /// The first is one of kind `work`.
    package let stages: [Stage]
    /// Whether a task that fails for good is escalated instead.
    package let escalatesOnFailure: Bool

    package init(name: WorkflowName, version: Int, stages: [Stage], escalatesOnFailure: Bool = false) {
        precondition(stages.first?.kind.isWork == true, "A workflow begins with a stage of work.")
        self.name = name
        self.version = version
        self.stages = stages
        self.escalatesOnFailure = escalatesOnFailure
    }

    /// The workflows every installation has. `role` is the first stage's default and a task may name another.
    package static let builtIn: [Workflow] = [
        Workflow(
            name: WorkflowName(literal: "single"), version: 1,
            stages: [
                Stage(
                    name: "work", kind: .work(state: .developing), role: AgentRole(literal: "developer"),
                    timeout: .seconds(600), attemptMax: 5, guards: []
                )
            ]
        ),
        Workflow(name: WorkflowName(literal: "reviewed"), version: 1, stages: [developing, reviewing]),
        Workflow(name: WorkflowName(literal: "gated"), version: 1, stages: [developing, reviewing, signingOff]),
        Workflow(name: WorkflowName(literal: "code"), version: 1, stages: [developing, testing, reviewing]),
    ]

    private static let developing = Stage(
        name: "develop", kind: .work(state: .developing), role: AgentRole(literal: "developer"), timeout: .seconds(600),
        attemptMax: 5, guards: []
    )

    private static let testing = Stage(
        name: "test", kind: .execute(ExecuteTerms(language: SandboxProgram.languageDefault)),
        role: AgentRole(literal: "developer"), timeout: .seconds(Stage.executionDefaultSeconds),
        attemptMax: Stage.executionAttemptsDefault, guards: [.hasTests]
    )

    private static let reviewing = Stage(
        name: "review", kind: .review(.peers), role: AgentRole(literal: "developer"),
        timeout: .seconds(ReviewRequest.secondsDefault), attemptMax: 1, guards: []
    )

    private static let signingOff = Stage(
        name: "sign-off", kind: .approve, role: AgentRole(literal: "developer"),
        timeout: .seconds(Stage.approvalDefaultSeconds), attemptMax: 1, guards: []
    )

    /// The last stage of work at or before `stage`: where a task goes back to.
    package func workStage(atOrBefore stage: Int) -> Int { stages[...stage].lastIndex { $0.kind.isWork } ?? 0 }

    /// Whether the sandbox has a say in it.
    package var isTested: Bool { stages.contains { $0.kind.state == .testing } }
}

/// One step of a workflow.
package struct Stage: Sendable, Equatable {
    package let name: String
    package let kind: Kind
    /// Which agents may lease its work; at a stage of another kind, those whose work is judged and who get it back.
    package let role: AgentRole
    /// For one attempt from dispatch to result; for an approval from the question to the answer; for a review from its
    /// opening to the reviewers' deadline; for a run in the sandbox from the request to the result, its wait in line
    /// aside.
    package let timeout: Duration
    /// How often this stage is tried in all.
    package let attemptMax: Int
    /// Checks that must hold before the stage counts as done.
    package let guards: [Guard]

    package init(
        name: String, kind: Kind, role: AgentRole, timeout: Duration, attemptMax: Int, guards: [Guard]
    ) {
        self.name = name
        self.kind = kind
        self.role = role
        self.timeout = timeout
        self.attemptMax = attemptMax
        self.guards = guards
    }

    /// Who carries the stage out.
    package enum Kind: Sendable, Equatable {
        /// An agent that leases `work.<role>`; the task shows `state` meanwhile (`developing` or `deploying`).
        case work(state: TaskState)
        /// The sandbox, which runs the tests of what was developed.
        case execute(ExecuteTerms)
        /// Peers who vote on what was developed.
        case review(ReviewTerms)
        /// A human who approves or rejects what was developed.
        case approve

        /// The state a task shows while the stage runs.
        package var state: TaskState {
            switch self {
            case .work(let state): state
            case .execute: .testing
            case .review: .reviewing
            case .approve: .awaitingApproval
            }
        }

        /// The word agents and clients see.
        package var word: String {
            switch self {
            case .work: "work"
            case .execute: "execute"
            case .review: "review"
            case .approve: "approve"
            }
        }

        package var isWork: Bool {
            switch self {
            case .work: true
            case .execute, .review, .approve: false
            }
        }
    }
}

/// A check on the work of a stage: it holds when the output says so, `{"checks": {"has_tests": true}}`. At a stage of
/// kind `execute` it holds when the sandbox says so.
///
/// What is missing counts as failed, and each failure has its fixed fix: who gets the work back, and with what plan.
package enum Guard: String, Sendable, CaseIterable {
    case hasTests = "has_tests"
    case securityApproved = "security_approved"
    case codeQuality = "code_quality"
    case hasDocumentation = "has_documentation"
    case performanceOK = "performance_ok"

    /// Those that a run in the sandbox answers.
    package static let answeredByExecution: [Guard] = [.hasTests, .performanceOK]

    /// The field of an output that holds what it declares about itself.
    package static let outputField = "checks"

    package func holds(in output: JSON) -> Bool {
        let checks = output.fields?.first { $0.name == Self.outputField }?.value
        return checks?.fields?.first { $0.name == rawValue }?.value.bool == true
    }

    /// Whose work the fix is.
    package var fixer: AgentRole {
        switch self {
        case .hasTests: AgentRole(literal: "tester")
        case .securityApproved: AgentRole(literal: "reviewer")
        case .codeQuality, .hasDocumentation, .performanceOK: AgentRole(literal: "developer")
        }
    }

    /// What the fixer is asked for.
    package var fix: String {
        switch self {
        case .hasTests: "Add tests that fail without the change and pass with it."
        case .securityApproved: "Review the work for security, and correct what is unsafe."
        case .codeQuality: "Simplify what is complex, remove what is unused, handle every error."
        case .hasDocumentation: "Document what was made, for its users."
        case .performanceOK: "Measure, and make what is slow fast enough."
        }
    }
}
