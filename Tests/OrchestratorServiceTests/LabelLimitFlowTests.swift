import Contracts
import Foundation
import Synchronization
import TestSupport
import Testing

/// Limits on labels, from the operator's request to what agents hold at once.
@Suite(.serialized, .timeLimit(.minutes(5))) struct `Limits on labels` {
    static let plenty = #""roles":{"admin":{"limit":100000},"developer":{"limit":100000}}"#

    /// How many are at work, and the most that ever were.
    final class Crowd: Sendable {
        private let counts = Mutex((now: 0, most: 0))

        func enter() { counts.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) } }
        func leave() { counts.withLock { $0.now -= 1 } }
        var most: Int { counts.withLock { $0.most } }
        var now: Int { counts.withLock { $0.now } }
    }

    private static func set(_ stack: OrchestratorUnderTest, _ labels: String, version: Int) async throws {
        let admin = try await stack.token(role: "admin", subject: "root")
        let answer = try await stack.send(
            "PUT", "/admin/rate-limits", token: admin, headers: ["If-Match": "\"\(version)\""],
            body: Array(#"{\#(plenty),"concurrency":{"acme":{\#(labels)}}}"#.utf8))
        guard answer.status == 200, answer.body.contains(#""concurrency":{"acme":{\#(labels)}}"#) else {
            throw OrchestratorUnderTest.Unexpected("\(answer)")
        }
        // Every replica has it before the test goes on.
        for replica in 0..<2 {
            try await eventually {
                try await stack.get("/admin/rate-limits", replica: replica, token: admin).headers["etag"]
                    == "\"\(version + 1)\""
            }
        }
    }

    @Test func `two replicas hand out no more of a label than may be at work`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            try await Self.set(stack, #""gpu=a":3"#, version: 0)
            let crowd = Crowd()
            let door = Gate()
            try await stack.withAgent(slots: 16, isParallel: true) { item in
                guard item.input.text.contains("gpu") else { return .completed(output: .emptyObject, usage: nil) }
                crowd.enter()
                await door.wait()
                crowd.leave()
                return .completed(output: .emptyObject, usage: nil)
            } _: {
                try await Self.storm(stack, crowd, door)
            }
        }
    }

    private static func storm(_ stack: OrchestratorUnderTest, _ crowd: Crowd, _ door: Gate) async throws {
        var limited: [String] = []
        for number in 0..<12 {
            limited.append(
                try await stack.submit(#"{"labels":{"gpu":"a"},"input":"gpu"}"#, replica: number % 2))
        }
        let plain = try await stack.submit(#"{"labels":{"gpu":"b"},"input":"plain"}"#, replica: 1)
        // Behind twelve that may not all start, one that may is done.
        try await eventually { try await stack.state(of: plain) == "completed" }
        try await eventually { crowd.now == 3 }
        let waiting = try await stack.get("/tasks?state=queued", token: stack.token())
        #expect(try waiting.json.fields?.first { $0.name == "tasks" }?.value.array?.count == 9)
        var explained: Set<String> = []
        for task in limited where try await stack.state(of: task) == "queued" {
            explained.insert(try await stack.get("/tasks/\(task)/explain", token: stack.token())["summary"] ?? "")
        }
        #expect(explained == ["It waits for the label gpu=a: 3 of 3 running."])
        try await set(stack, #""gpu=a":5"#, version: 1)
        try await eventually { crowd.now == 5 }
        door.open()
        for task in limited { try await eventually { try await stack.state(of: task) == "completed" } }
        #expect(crowd.most <= 5)
    }

    /// How often the queue was counted, whichever replica leads.
    private static func counts(_ stack: OrchestratorUnderTest) async throws -> Int {
        let start = #"db_query_duration_seconds_count{statement="CountQueued"} "#
        var sum = 0
        for replica in 0..<2 {
            let lines = try await stack.get("/metrics", replica: replica, token: nil).body.split(separator: "\n")
            sum += lines.first { $0.hasPrefix(start) }.flatMap { Int($0.dropFirst(start.count)) } ?? 0
        }
        return sum
    }

    @Test func `tasks of a limited label follow each other without a pause`() async throws {
        try await OrchestratorUnderTest.run(replicas: 2) { stack in
            try await Self.set(stack, #""gpu=a":1"#, version: 0)
            try await eventually { try await Self.counts(stack) > 0 }
            let crowd = Crowd()
            try await stack.withAgent(slots: 16, isParallel: true) { _ in
                crowd.enter()
                crowd.leave()
                return .completed(output: .emptyObject, usage: nil)
            } _: {
                let before = try await Self.counts(stack)
                for _ in 0..<40 { _ = try await stack.submit(#"{"labels":{"gpu":"a"}}"#) }
                let token = try await stack.token()
                try await eventually {
                    let answer = try await stack.get("/tasks?state=completed&limit=50", token: token)
                    return try answer.json.fields?.first { $0.name == "tasks" }?.value.array?.count == 40
                }
                // One at each count of the queue, were they only found then.
                let counted = try await Self.counts(stack) - before
                #expect(counted < 35)
            }
            #expect(crowd.most == 1)
        }
    }
}
