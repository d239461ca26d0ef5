import Contracts
import FoundationEssentials
import OrchestratorCore

/// Work that the sandbox tests.
enum Tested {
    static let terms = ExecuteTerms(language: "python", cpuMillisecondsMax: 500)
    static let stage = Stage(
        name: "test", kind: .execute(terms), role: developer, timeout: .seconds(300), attemptMax: 2,
        guards: [.hasTests, .performanceOK])
    static let stages = [Reviewed.work, stage, Reviewed.review]

    static func context(_ seconds: Double = 0, _ stages: [Stage] = stages) -> TaskMachine.Context {
        `Task stages`.context(seconds, stages)
    }

    static func outcome(
        _ status: SandboxStatus, code: Int? = nil, cpuMilliseconds: Int = 10,
        _ change: (inout SandboxOutcome) -> Void = { _ in }
    ) -> SandboxOutcome {
        var outcome = SandboxOutcome(status: status)
        outcome.exitCode = code
        outcome.usage.cpuMicroseconds = cpuMilliseconds * 1000
        outcome.stderr = SandboxOutcome.Output(head: Array("FAILED\nRan 2 tests\n".utf8), bytesTotal: 19)
        change(&outcome)
        return outcome
    }

    static let ok = outcome(.ok, code: 0)
    static let failing = outcome(.error, code: 1)
    static let untested = outcome(.error, code: SandboxProgram.noTestsCode)
    static let lost = SandboxOutcome.failed("executor_lost", "The executor was lost.")
    static let artifact = JSONWriter.object { writer in
        writer.field("files", object: { $0.field("a.py", "x = 1\n") })
        writer.field(ExecuteTerms.artifactField, object: { $0.field("other", "kept") })
    }

    /// The execution that the machine asks for at that second.
    static func execution(at seconds: Double = 0) -> ExecutionID {
        ExecutionID(TaskID(at: epoch.addingTimeInterval(seconds), random: (3, 4)).uuid)
    }

    static func report(_ outcome: SandboxOutcome, _ execution: ExecutionID? = nil) -> ExecutionReport {
        ExecutionReport(execution: execution ?? Self.execution(), outcome: outcome, artifact: artifact)
    }

    /// A task whose work has just been done, and waits for the sandbox.
    static var waiting: TaskRecord { `Task stages`.after(runningTask(), report(done), context()) }

    private static func report(_ body: AgentReport.Body) -> TaskMachine.Event { OrchestratorCoreTests.report(body) }

    /// What the agent says of the sandbox counts for nothing.
    static let done = AgentReport.Body.completed(
        output: JSONWriter.object { writer in
            writer.field("files", object: { $0.field("a.py", "x = 1\n") })
            writer.field(ExecuteTerms.artifactField, object: { $0.field("test", "all is well") })
        },
        usage: nil
    )
}
