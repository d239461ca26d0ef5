/// A named, versioned list of stages a task goes through. A running task keeps the version it started with.
package struct Workflow: Sendable, Equatable {
    package let name: WorkflowName
    package let version: Int
    package let stages: [Stage]

    package init(name: WorkflowName, version: Int, stages: [Stage]) {
        precondition(!stages.isEmpty, "A workflow has at least one stage.")
        self.name = name
        self.version = version
        self.stages = stages
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
        )
    ]
}

/// One step of a workflow.
package struct Stage: Sendable, Equatable {
    package let name: String
    package let kind: Kind
    /// Which agents may lease its work.
    package let role: AgentRole
    /// From dispatch to result, for one attempt.
    package let timeout: Duration
    /// How often this stage is tried in all.
    package let attemptMax: Int
    /// Checks that must hold before the stage counts as done.
    package let guards: [String]

    package init(
        name: String, kind: Kind, role: AgentRole, timeout: Duration, attemptMax: Int, guards: [String]
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

        /// The state a task shows while the stage runs.
        package var state: TaskState {
            switch self {
            case .work(let state): state
            }
        }

        /// The word agents and clients see.
        package var word: String {
            switch self {
            case .work: "work"
            }
        }
    }
}
