import Contracts
import Foundation

@testable import Storage

/// The workflows, people and artifacts of all schedules.
enum Scenes {
    static let developer = AgentRole(literal: "developer")
    static let tenant = TenantID(literal: "acme")
    static let project = ProjectID(literal: "alpha")
    static let account = BudgetAccount.Key(tenant: tenant, project: project)
    static let agents = [AgentID(literal: "agent-0"), AgentID(literal: "agent-1")]
    static let roles = [developer, AgentRole(literal: "tester"), AgentRole(literal: "reviewer")]

    private static let work = stage("work", .work(state: .developing))
    private static let checked = stage("work", .work(state: .developing), guards: [.hasTests])
    private static let delivery = stage("deliver", .work(state: .deploying))
    private static let review = stage("review", .review(.peers), seconds: 40)
    private static let approval = stage("approve", .approve, seconds: 90)

    static let workflows = [
        workflow("single", [work]), workflow("checked", [checked]), workflow("reviewed", [work, review]),
        workflow("delivered", [work, delivery], escalates: true), workflow("gated", [work, review, approval]),
        workflow("long", [checked, review, delivery], escalates: true),
    ]

    private static let byName = Dictionary(uniqueKeysWithValues: workflows.map { ($0.name, $0) })

    static func workflow(of task: TaskRecord) -> Workflow { byName[task.workflow] ?? workflows[0] }

    private static func stage(
        _ name: String, _ kind: Stage.Kind, seconds: Int = 30, guards: [Guard] = []
    ) -> Stage {
        Stage(
            name: name, kind: kind, role: developer, timeout: .seconds(seconds), attemptMax: kind.isWork ? 3 : 1,
            guards: guards)
    }

    private static func workflow(_ name: StaticString, _ stages: [Stage], escalates: Bool = false) -> Workflow {
        Workflow(name: WorkflowName(literal: name), version: 1, stages: stages, escalatesOnFailure: escalates)
    }

    static let tested = JSONWriter.object { $0.field("checks", object: { $0.field("has_tests", true) }) }
    static let artifact = ArtifactHash(bytes: [UInt8](repeating: 7, count: ArtifactHash.byteCount))
    static let opinion = ReviewOpinion(rationale: "", concerns: JSONWriter.array { _ in })
}
