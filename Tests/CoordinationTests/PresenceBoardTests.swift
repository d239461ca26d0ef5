import Coordination
import Redis
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct PresenceBoardTests {
    private func body(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func limits(_ change: (inout PresenceBoard.Limits) -> Void = { _ in }) -> PresenceBoard.Limits {
        var limits = PresenceBoard.Limits(timeout: patience)
        change(&limits)
        return limits
    }

    /// Asks until the board is as expected.
    private func wait(_ board: PresenceBoard, for expected: Set<String>) async throws -> Bool {
        let end = ContinuousClock.now + patience
        while ContinuousClock.now < end {
            if Set(try await board.all().map(\.id)) == expected { return true }
        }
        return false
    }

    @Test func `members are there with their last body until they leave`() async throws {
        try await withRedis { _, redis in
            let board = PresenceBoard("agents", redis: redis, limits: limits())
            try await #expect(board.all() == [])
            try await board.announce(id: "b", body: body("two"), ttl: .seconds(60))
            try await board.announce(id: "a", body: body("one"), ttl: .seconds(30))
            try await board.announce(id: "b", body: [0, 255, 13, 10], ttl: .seconds(60))
            try await #expect(
                board.all() == [
                    AgentPresence(id: "a", body: body("one")), AgentPresence(id: "b", body: [0, 255, 13, 10]),
                ]
            )
            try await board.withdraw(id: "a")
            try await board.withdraw(id: "never there")
            try await #expect(board.all().map(\.id) == ["b"])
            try await #expect(PresenceBoard("others", redis: redis, limits: limits()).all() == [])
        }
    }

    @Test func `who stops announcing vanishes, and nothing of it stays`() async throws {
        try await withRedis { _, redis in
            let board = PresenceBoard("agents", redis: redis, limits: limits())
            try await board.announce(id: "short", body: body("x"), ttl: .milliseconds(50))
            try await board.announce(id: "long", body: body("y"), ttl: .seconds(60))
            try await #expect(wait(board, for: ["long"]))
            try await #expect(redis.command(["HLEN", "golden:presence:{agents}:body"]) == .integer(1))
            try await #expect(redis.command(["ZCARD", "golden:presence:{agents}:until"]) == .integer(1))
        }
    }

    @Test func `a board nobody announces on is gone from Redis`() async throws {
        try await withRedis { _, redis in
            let board = PresenceBoard("agents", redis: redis, limits: limits())
            try await board.announce(id: "a", body: body("x"), ttl: .seconds(60))
            try await board.announce(id: "b", body: body("x"), ttl: .seconds(1))
            for key in ["until", "body"] {
                let left = try await redis.command(["PTTL", .text("golden:presence:{agents}:\(key)")]).integer ?? -1
                #expect(left > 50_000 && left <= 60_000)
            }
        }
    }

    @Test func `a full board keeps its members, refuses others, and has room again when one expires`() async throws {
        try await withRedis { _, redis in
            let board = PresenceBoard("agents", redis: redis, limits: limits { $0.members = 3 })
            for id in ["a", "b", "c"] { try await board.announce(id: id, body: [], ttl: .seconds(600)) }
            let error = await #expect(throws: CoordinationError.self) {
                try await board.announce(id: "d", body: [], ttl: .seconds(60))
            }
            #expect(error?.code == .full)
            try await board.announce(id: "a", body: body("new"), ttl: .seconds(600))
            try await board.announce(id: "c", body: [], ttl: .milliseconds(50))
            try await #expect(wait(board, for: ["a", "b"]))
            try await board.announce(id: "d", body: [], ttl: .seconds(60))
            try await #expect(wait(board, for: ["a", "b", "d"]))
        }
    }

    @Test func `thousands of members are read whole`() async throws {
        try await withRedis { _, redis in
            let board = PresenceBoard("agents", redis: redis, limits: limits())
            let text = [UInt8](repeating: 120, count: 500)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<3001 {
                    group.addTask { try await board.announce(id: "agent \(index)", body: text, ttl: .seconds(600)) }
                }
                try await group.waitForAll()
            }
            let all = try await board.all()
            #expect(all.count == 3001)
            #expect(Set(all.map(\.id)).count == 3001)
            #expect(all.allSatisfy { $0.body == text })
        }
    }

    @Test func `what is empty or too large is refused`() async throws {
        try await withRedis { _, redis in
            let board = PresenceBoard("agents", redis: redis, limits: limits { ($0.idBytes, $0.bodyBytes) = (5, 10) })
            let wrong: [(String, Int, Duration)] = [
                ("", 1, .seconds(1)), ("longer", 1, .seconds(1)), ("id", 11, .seconds(1)), ("id", 1, .zero),
            ]
            for (id, size, ttl) in wrong {
                let error = await #expect(throws: CoordinationError.self) {
                    try await board.announce(id: id, body: [UInt8](repeating: 1, count: size), ttl: ttl)
                }
                #expect(error?.code == .invalidEntry)
            }
            try await #expect(board.all() == [])
        }
    }

    @Test func `without Redis it says so, and afterwards it starts empty`() async throws {
        try await withRedis { server, redis in
            let board = PresenceBoard("agents", redis: redis, limits: limits())
            try await board.announce(id: "a", body: [], ttl: .seconds(60))
            try await server.kill()
            await redis.waitUntilDisconnected()
            let error = await #expect(throws: CoordinationError.self) { try await board.all() }
            #expect(error?.code == .unavailable)
            #expect((error?.underlying as? RedisError)?.code == .disconnected)
            try await server.start()
            try await redis.waitUntilConnected(within: patience)
            try await #expect(board.all() == [])
            try await board.announce(id: "a", body: [], ttl: .seconds(60))
            try await #expect(board.all().map(\.id) == ["a"])
        }
    }
}
