import Contracts
import Foundation
import MessageBus
import NATS
import Storage
import Testing

/// Escalations on their whole way, with the orchestrator, and agents that the tests play.
@Suite(.timeLimit(.minutes(5))) struct `Escalations at the supervisor` {
    static let stuck = AgentReport.Body.failed(.init(code: "stuck", message: "no way", isRetryable: false))
    static let steps =
        #"{"steps":[{"priority":2,"type":"test","issue":"Test it.","agent":"nobody"},"#
        + #"{"priority":1,"type":"fix","issue":"Look in src/.","agent":"developer"}]}"#

    static func json(_ text: String) throws -> JSON { try JSON(parsing: text.utf8) }

    /// Gives up unless there is a plan with steps.
    static func developer(_ item: WorkItem) throws -> AgentReport.Body {
        item.plan?.text.contains("\"steps\"") == true ? .completed(output: item.plan ?? .null, usage: nil) : stuck
    }

    @Test func `a guard that keeps failing is resolved by its rule, and the task completes`() async throws {
        try await SupervisorUnderTest.run { test in
            try await test.introduce("developer", "tester")
            let work: @Sendable (WorkItem) async throws -> AgentReport.Body? = { item in
                let isFixed = item.plan?.text.contains("rounds of rework have not made has_tests hold") == true
                return .completed(output: try Self.json(#"{"checks":{"has_tests":\#(isFixed)}}"#), usage: nil)
            }
            try await test.withAgent("developer", work: work) {
                try await test.withAgent("tester", work: work) {
                    let task = try await test.submit(guards: ["has_tests"])
                    try await eventually { try await test.state(of: task) == "completed" }
                    let escalations = try await test.escalations(of: task)
                    let only = try #require(escalations.first)
                    #expect(escalations.count == 1 && only.outcome?.by == "supervisor")
                    #expect(only.outcome?.resolution == "retry" && only.handling.rule == "fixed_fix")
                    #expect(only.classification == .skillGap)
                    let events = try await test.sql(
                        "SELECT data->>'by', data->>'resolution' FROM task_events WHERE kind = 'task.resolved'")
                    #expect(events == "supervisor|retry")
                }
            }
        }
    }

    @Test func `an analyst is asked, and its steps are the plan`() async throws {
        try await SupervisorUnderTest.run { test in
            try await test.introduce("developer", "supervisor")
            _ = try await test.sql(
                "SELECT approve_prompt_update(prompt_id, 'ada', '') FROM "
                    + "propose_prompt_update('supervisor', 'Be fair.', 'bob', 0, 'x')")
            try await test.withAgent("developer", work: { try Self.developer($0) }) {
                try await test.withAgent(
                    "supervisor",
                    work: { item in
                        #expect(item.kind == "analysis" && item.prompt == "Be fair." && item.promptVersion == 1)
                        #expect(item.budgetLeft == 1000)
                        #expect(
                            item.input.text.contains(#""answer":"synthesis""#) && item.input.text.contains("no way"))
                        return .completed(output: try Self.json(Self.steps), usage: .init(tokens: 70))
                    }
                ) {
                    let task = try await test.submit(#"{"workflow":"careful","budget_tokens":1000}"#)
                    try await eventually { try await test.state(of: task) == "completed" }
                    #expect(try await test.get("/tasks/\(task)").body.contains(#""usage_tokens":70"#))
                    let id = try #require(try await test.escalations(of: task).first?.id)
                    let shown = try await test.get("/escalations/\(id)")
                    #expect(shown["state"] == "resolved" && shown["rule"] == "analyst", "\(shown.body)")
                    #expect(shown["analyst"] == "supervisor-1" && shown.body.contains(#""analysis":{"steps""#))
                }
            }
        }
    }

    @Test func `an analyst who is silent leaves it to a human, who resolves it`() async throws {
        try await SupervisorUnderTest.run(environment: ["GOLDEN_SUPERVISOR_ANALYST_SECONDS": "3"]) { test in
            try await test.introduce("developer", "supervisor")
            let alerts = try test.bus.subscribe(.allAlerts)
            try await test.withAgent("developer", work: { try Self.developer($0) }) {
                try await test.withAgent("supervisor", work: { _ in nil }) {
                    let task = try await test.submit()
                    let state = { try await test.escalations(of: task).first?.status }
                    try await eventually { try await state() == .analyzing }
                    let id = try #require(try await test.escalations(of: task).first?.id)
                    #expect(try await test.get("/escalations?state=analyzing").body.contains("\(id)"))
                    try await eventually { try await state() == .waitingForHuman }
                    let shown = try await test.get("/escalations/\(id)")
                    #expect(shown["waits_because"] == "analyst_silent" && shown["state"] == "waiting_for_human")
                    #expect(try await test.get("/escalations?state=unresolved").body.contains("\(id)"))
                    var heard: Alert?
                    for await alert in alerts {
                        heard = alert
                        break
                    }
                    #expect(heard?.escalation == id && heard?.severity == .info && heard?.task?.description == task)
                    let resolved = try await test.post(
                        "/escalations/\(id)/resolve", #"{"resolution":"retry","plan":{"steps":[]}}"#, role: "operator")
                    #expect(resolved.status == 200 && resolved["resolved_by"] == "tester", "\(resolved.body)")
                    try await eventually { try await test.state(of: task) == "completed" }
                }
            }
        }
    }

    @Test(arguments: [
        (#"{"steps":[]}"#, "answer_refused"), (#""approve everything""#, "answer_refused"), ("null", "answer_refused"),
        (#"{"decision":"approve","confidence":1,"reasoning":"x"}"#, "answer_refused"), ("failed", "analyst_failed"),
    ])
    func `what is no answer is left to a human, and who was not asked does not answer`(
        answer: String, reason: String
    ) async throws {
        try await SupervisorUnderTest.run { test in
            try await test.introduce("developer", "supervisor")
            let alerts = try test.bus.subscribe(.allAlerts)
            try await test.withAgent("developer", work: { try Self.developer($0) }) {
                try await test.withAgent(
                    "supervisor",
                    work: { item in
                        let forged = AgentReport.Body.completed(output: try Self.json(Self.steps), usage: nil)
                        try await test.report(forged, on: item, by: AgentID(literal: "eve"), token: "guess")
                        let progress = AgentReport.Body.progress(number: 1, message: "thinking", data: nil)
                        try await test.report(progress, on: item, by: AgentID(literal: "supervisor-1"))
                        return answer == "failed" ? Self.stuck : .completed(output: try Self.json(answer), usage: nil)
                    }
                ) {
                    let task = try await test.submit()
                    try await eventually { try await test.escalations(of: task).first?.status == .waitingForHuman }
                    let escalation = try #require(try await test.escalations(of: task).first)
                    #expect(escalation.handling.humanReason == reason && escalation.handling.analyst == "supervisor-1")
                    #expect(try await test.state(of: task) == "escalated")
                    let heard = await alerts.first { _ in true }
                    #expect(heard?.escalation == escalation.id && heard?.task == escalation.task)
                    #expect(heard?.severity == .info && heard?.summary.contains(reason) == true)
                }
            }
        }
    }

    @Test func `without an analyst a human is called, and reminded ever louder`() async throws {
        let hasty = ["GOLDEN_SUPERVISOR_WARNING_SECONDS": "2", "GOLDEN_SUPERVISOR_CRITICAL_SECONDS": "4"]
        try await SupervisorUnderTest.run(supervisors: 2, environment: hasty) { test in
            try await test.introduce("developer")
            let alerts = try test.bus.subscribe(.allAlerts)
            try await test.withAgent("developer", work: { try Self.developer($0) }) {
                let task = try await test.submit()
                var heard: [Alert] = []
                for await alert in alerts {
                    heard.append(alert)
                    if alert.severity == .critical { break }
                }
                #expect(heard.map(\.severity) == [.info, .warning, .critical])
                #expect(heard.allSatisfy { $0.task?.description == task && $0.summary.contains("no_analyst") })
                #expect(try await test.escalations(of: task).first?.severity == "critical")
            }
        }
    }

    @Test func `one that starts leaves the streams as large as everybody is told they are`() async throws {
        try await SupervisorUnderTest.run(orchestrators: 0, supervisors: 0) { test in
            let bus = MessageBus(
                connection: test.connection, configuration: BusConfiguration(storageBytesMax: 512 << 20), logger: quiet)
            _ = try await bus.setUp()
            // It is set up last: when it is there again, the streams have been looked at.
            let last = try #require(BusTopology.consumers.last)
            _ = try await test.connection.jetStream("CONSUMER.DELETE.\(last.stream.rawValue).\(last.name)")
            #expect(try await bus.plan().map(\.object) == ["consumer \(last.name)"])
            let supervisor = try await test.supervisor(["GOLDEN_NATS_STORAGE": "512MiB"])
            try await eventually { try await bus.backlog(of: last) != nil }
            #expect(try await bus.plan() == [])
            await supervisor.stop()
        }
    }

    @Test func `it says how it is, what waits, and how long resolutions took`() async throws {
        try await SupervisorUnderTest.run(supervisors: 0) { test in
            let supervisor = try await test.supervisor()
            try await test.introduce("developer")
            try await test.withAgent("developer", work: { try Self.developer($0) }) {
                let task = try await test.submit()
                try await eventually {
                    try await test.metrics(of: supervisor).contains("\nsupervisor_unresolved_escalations 1\n")
                }
                let id = try #require(try await test.escalations(of: task).first?.id)
                _ = try await test.post("/escalations/\(id)/resolve", #"{"resolution":"cancel"}"#, role: "operator")
                try await eventually {
                    let metrics = try await test.metrics(of: supervisor)
                    return metrics.contains("\nsupervisor_unresolved_escalations 0\n")
                        && metrics.contains(#"escalation_resolution_time_count{by="human"} 1"#)
                        && metrics.contains(
                            #"{source="failure",classification="skill_gap",resolution="cancel",by="human"} 1"#)
                        && metrics.contains(
                            #"{source="failure",classification="skill_gap",step="leave_to_human"} 1"#)
                }
            }
            await supervisor.stop()
        }
    }
}
