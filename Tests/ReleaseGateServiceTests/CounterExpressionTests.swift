import Foundation
import ReleaseGateCore
import ReleaseGateService
import Testing

@Suite(.timeLimit(.minutes(10))) struct `Counter expressions` {
    @Test(arguments: [
        (#"a_total"#, #"a_total"#), (#" a_total{x="1"} - b_total "#, #"a_total{x="1"} - b_total"#),
        (#"a{x=~"5..",y!="-+"}+b"#, #"a{x=~"5..",y!="-+"} + b"#), (#"a{x="q\"}\\"}"#, #"a{x="q\"}\\"}"#),
    ])
    func `counters are added and subtracted`(text: String, read: String) throws {
        #expect(try CounterExpression(parsing: text).description == read)
    }

    @Test(arguments: [
        "", "rate(a_total[5m])", "sum(a)", "a{x=1}", #"a{x="1""#, #"a{x=~"("}"#, "a b", "a[5m]", "1a", #"{x="1"}"#,
    ])
    func `anything else is refused`(text: String) {
        let error = #expect(throws: GateError.self) { try CounterExpression(parsing: text) }
        #expect(error?.code == .invalid)
    }

    /// What our own objectives make of one event of the orchestrator: the metric, its labels, and whether it counts.
    static let events: [(objective: String, metric: String, labels: [String: String], counts: Bool)] = [
        ("http-errors", "http_requests_total", ["route": "/tasks", "status": "503"], true),
        ("http-errors", "http_requests_total", ["route": "/ready", "status": "503"], false),
        ("http-errors", "http_requests_total", ["route": "/health", "status": "200"], false),
        ("http-errors", "http_requests_total", ["route": "/metrics", "status": "200"], false),
        ("api-latency", "http_request_duration_seconds_count", ["route": "/tasks"], true),
        ("api-latency", "http_request_duration_seconds_count", ["route": "/sandbox/execute"], false),
        ("task-failures", "tasks_failed_total", ["state": "failed"], true),
        ("task-failures", "tasks_failed_total", ["state": "canceled"], false),
        ("task-failures", "tasks_failed_total", ["state": "rejected"], false),
    ]

    @Test(arguments: events.indices)
    func `our objectives count what was asked of us and went wrong through us`(index: Int) throws {
        let event = Self.events[index]
        let gate = try GateConfiguration(file: PreflightStores.root.appending(path: "release/gate.yaml").path)
        let objective = try #require(gate.policy.objectives.first { $0.name == event.objective })
        let labels = event.labels.merging(["service": "orchestrator"]) { own, _ in own }
        let total = try CounterExpression(parsing: objective.indicator.total).selectors
        #expect(total.contains { $0.metric == event.metric && $0.matches(labels) } == event.counts)
        let bad = try CounterExpression(parsing: objective.indicator.bad).selectors
        #expect(event.counts || !bad.contains { $0.metric == event.metric && $0.matches(labels) })
    }

    @Test func `a side's labels restrict every counter`() throws {
        let expression = try CounterExpression(parsing: #"a{x="1"} - b"#).restricted(to: ["track": "canary"])
        #expect(expression.description == #"a{x="1",track="canary"} - b{track="canary"}"#)
    }
}
