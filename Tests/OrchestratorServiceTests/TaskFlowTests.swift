import Contracts
import Foundation
import TestSupport
import Testing

/// A task's way through real stores: HTTP in, JetStream, an agent, Postgres, events out.
@Suite struct `Task flow` {
    static let done = AgentReport.Body.completed(output: .emptyObject, usage: .init(tokens: 3))

    @Test func `a task is accepted, worked on and completed with a gap-free history`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.withAgent(work: { item in .completed(output: item.input, usage: nil) }) {
                let task = try await stack.submit(#"{"input":{"n":1.50,"text":"ü"}}"#)
                try await eventually { try await stack.state(of: task) == "completed" }
                let shown = try await stack.get("/tasks/\(task)", token: stack.token())
                let fields = try #require(try shown.json.fields)
                #expect(fields.first { $0.name == "output" }?.value.text == #"{"n":1.50,"text":"ü"}"#)
                let events = try await stack.get("/tasks/\(task)/events", token: stack.token())
                let list = try #require(try events.json.fields?.first { $0.name == "events" }?.value.array)
                let kinds = try list.map { try TaskEvent(json: $0).kind }
                #expect(kinds == [.created, .dispatched, .completed])
                #expect(try list.map { try TaskEvent(json: $0).sequence } == [1, 2, 3])
            }
        }
    }

    @Test func `a task waits for its agent and explains that it does`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let task = try await stack.submit(#"{"role":"nobody"}"#)
            let explained = try await stack.get("/tasks/\(task)/explain", token: stack.token())
            #expect(explained.status == 200)
            #expect(explained.body.contains("nobody"))
            try await stack.withAgent(role: "nobody", work: { _ in Self.done }) {
                try await eventually { try await stack.state(of: task) == "completed" }
            }
        }
    }

    @Test func `a failed attempt is repeated, a permanent failure is not`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.withAgent(work: { item in
                if item.input.text.contains("never") {
                    return .failed(.init(code: "bad", message: "no", isRetryable: false))
                }
                if item.attempt < 2 { return .failed(.init(code: "busy", message: "later", isRetryable: true)) }
                return Self.done
            }) {
                let flaky = try await stack.submit()
                let hopeless = try await stack.submit(#"{"input":"never"}"#)
                try await eventually { try await stack.state(of: hopeless) == "failed" }
                try await eventually { try await stack.state(of: flaky) == "completed" }
                let shown = try await stack.get("/tasks/\(flaky)", token: stack.token())
                #expect(try shown.json.fields?.first { $0.name == "attempt" }?.value.int == 2)
            }
        }
    }

    @Test func `an attempt past its deadline is repeated and its late result is lost`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let first = Gate()
            try await stack.withAgent(work: { item in
                if item.attempt == 1 {
                    // Answers only after the second attempt was handed out.
                    await first.wait()
                    return .completed(output: JSONWriter.object { $0.field("late", true) }, usage: nil)
                }
                first.open()
                return nil
            }) {
                let task = try await stack.submit(#"{"timeout_seconds":1,"max_attempts":2}"#)
                try await stack.withAgent(work: { item in
                    guard item.attempt == 2 else { return nil }
                    first.open()
                    return nil
                }) {
                    try await eventually { try await stack.state(of: task) == "failed" }
                    let shown = try await stack.get("/tasks/\(task)", token: stack.token())
                    #expect(shown.body.contains("deadline_exceeded"))
                    #expect(!shown.body.contains("late"))
                }
            }
        }
    }

    @Test func `cancelling ends a waiting task at once and a running one by its agent's answer`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let waiting = try await stack.submit(#"{"role":"nobody"}"#)
            let answer = try await stack.post(
                "/tasks/\(waiting)/cancel", #"{"reason":"mistake"}"#, token: stack.token())
            #expect([200, 202].contains(answer.status))
            try await eventually { try await stack.state(of: waiting) == "canceled" }
            let again = try await stack.post("/tasks/\(waiting)/cancel", nil, token: stack.token())
            #expect(again.status == 200)

            try await stack.withAgent(work: { _ in Self.done }) {
                let ended = try await stack.submit()
                try await eventually { try await stack.state(of: ended) == "completed" }
                let tooLate = try await stack.post("/tasks/\(ended)/cancel", nil, token: stack.token())
                #expect(tooLate.status == 409)
                #expect(tooLate["code"] == "task_ended")
            }
        }
    }

    @Test func `several replicas share the work and show the same history`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            try await stack.withAgent(slots: 32, work: { _ in Self.done }) {
                var tasks: [String] = []
                for number in 0..<40 { tasks.append(try await stack.submit(replica: number % 2)) }
                for task in tasks { try await eventually { try await stack.state(of: task) == "completed" } }
                for task in tasks {
                    let one = try await stack.get("/tasks/\(task)/events", replica: 0, token: stack.token())
                    let other = try await stack.get("/tasks/\(task)/events", replica: 1, token: stack.token())
                    #expect(one.body == other.body)
                }
            }
        }
    }

    @Test func `a wiped JetStream loses nothing`() async throws {
        try await OrchestratorUnderTest.run { stack in
            var tasks: [String] = []
            for _ in 0..<20 { tasks.append(try await stack.submit()) }
            try await stack.nats.crashAndLoseStore()
            try await stack.withAgent(work: { _ in Self.done }) {
                for task in tasks { try await eventually { try await stack.state(of: task) == "completed" } }
            }
        }
    }
}

/// Opens once; everybody who waits goes on.
final class Gate: Sendable {
    private let stream: AsyncStream<Never>
    private let source: AsyncStream<Never>.Continuation

    init() { (stream, source) = AsyncStream<Never>.makeStream() }

    func open() { source.finish() }

    func wait() async { for await _ in stream {} }
}
