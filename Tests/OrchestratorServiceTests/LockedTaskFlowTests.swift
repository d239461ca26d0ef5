import Contracts
import Foundation
import Synchronization
import TestSupport
import Testing

/// What becomes of all other tasks while somebody holds the row of one locked.
@Suite(.timeLimit(.minutes(10))) struct `Locked tasks over HTTP` {
    private static let working = "SELECT count(*) FROM tasks WHERE state = 'developing'"

    @Test func `a task that somebody holds locked keeps no other from its deadline`() async throws {
        try await OrchestratorUnderTest.run { stack in
            try await stack.withAgent(work: { _ in nil }) {
                let body = #"{"max_attempts":1}"#
                let locked = try await stack.submit(body)
                let free = try await stack.submit(body)
                let others = try await stack.submit(body, tenant: "beta")
                try await eventually { try await stack.sql(Self.working) == "3" }
                // All of them are overdue in the same moment, some time after the one is locked.
                try await stack.postgres.holding(
                    "SELECT FROM tasks WHERE id = '\(locked)' FOR UPDATE", in: stack.database,
                    after: "UPDATE tasks SET deadline = now() + interval '3 s'"
                ) { _ in
                    try await eventually { try await stack.state(of: free) == "failed" }
                    try await eventually { try await stack.state(of: others, tenant: "beta") == "failed" }
                    let state = try await stack.state(of: locked)
                    #expect(state == "developing", "It is locked still.")
                    let start = ContinuousClock.now
                    let canceled = try await stack.post("/tasks/\(locked)/cancel", nil, token: stack.token())
                    #expect(canceled.status == 503, "\(canceled.body)")
                    #expect(ContinuousClock.now - start < .seconds(15), "People wait for some seconds.")
                }
                try await eventually { try await stack.state(of: locked) == "failed" }
            }
        }
    }

    @Test func `a task that somebody holds locked holds up no other's result`() async throws {
        try await OrchestratorUnderTest.run { stack in
            let lock = Moment()
            try await stack.withAgent(isParallel: true) { item in
                // What acme was working on ends while one of its tasks is locked.
                if item.tenant.text == "acme" { try await lock.wait() }
                return .completed(output: .null, usage: .init(tokens: 1))
            } _: {
                var tasks: [String] = []
                for _ in 0..<4 { tasks.append(try await stack.submit()) }
                try await eventually { try await stack.sql(Self.working) == "4" }
                let statement = "SELECT FROM tasks WHERE id = '\(tasks[0])' FOR UPDATE"
                try await stack.postgres.holding(statement, in: stack.database) { _ in
                    lock.comes()
                    for _ in 0..<4 {
                        let task = try await stack.submit(tenant: "beta")
                        try await eventually { try await stack.state(of: task, tenant: "beta") == "completed" }
                    }
                    for task in tasks.dropFirst() {
                        try await eventually { try await stack.state(of: task) == "completed" }
                    }
                    let state = try await stack.state(of: tasks[0])
                    #expect(state == "developing", "It is locked still.")
                }
                try await eventually { try await stack.state(of: tasks[0]) == "completed" }
            }
        }
    }
}

/// Something that some wait for and others bring about.
private final class Moment: Sendable {
    private let hasCome = Mutex(false)

    func comes() { hasCome.withLock { $0 = true } }

    func wait() async throws {
        while !hasCome.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(20)) }
    }
}
