/// How the run of a task's tests ended, beside what was run.
package struct ExecutionReport: Sendable, Equatable {
    package let execution: ExecutionID
    package let outcome: SandboxOutcome
    /// The task's draft.
    package let artifact: JSON

    package init(execution: ExecutionID, outcome: SandboxOutcome, artifact: JSON) {
        self.execution = execution
        self.outcome = outcome
        self.artifact = artifact
    }
}
