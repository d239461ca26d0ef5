import Logging
import Redis
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RedisServerListTests {
    @Test func `a URL names one server or several of the same data`() throws {
        let one = try #require(RedisConfiguration(url: "redis://:p%40ss@a:1/2"))
        #expect(one.host == "a" && one.port == 1 && one.database == 2 && one.password == "p@ss")
        #expect(one.alternatives.isEmpty)
        let three = try #require(RedisConfiguration(url: "rediss://u:p,w@a:1,b,c:3/2"))
        #expect(three.host == "a" && three.username == "u" && three.password == "p,w" && three.tls != nil)
        #expect(three.alternatives.map(\.host) == ["b", "c"])
        #expect(three.alternatives.map(\.port) == [6379, 3])
        #expect(RedisConfiguration(url: "redis://a:1,,b:2/0") == nil)
        #expect(RedisConfiguration(url: "nats://a:1,b:2") == nil)
    }

    @Test func `of several servers the one that calls itself master is served by`() async throws {
        let replica = try ScriptedServer(answers: [["*1\r\n$5\r\nslave\r\n+PONG\r\n"]])
        let master = try ScriptedServer(answers: [["*1\r\n$6\r\nmaster\r\n+PONG\r\n"], ["+by the master\r\n"]])
        let url = "redis://127.0.0.1:\(replica.port),127.0.0.1:\(master.port)/0"
        let redis = RedisConnection(try #require(RedisConfiguration(url: url)), logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await redis.run() }
            try await redis.waitUntilConnected(within: .seconds(60))
            try await #expect(redis.command(["PING"], timeout: .seconds(60)) == .status("by the master"))
            await redis.shutdown(within: .seconds(5))
            try await group.waitForAll()
        }
    }
}
