import DriverThreads
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

    static let databases: [(String, Int?)] = [
        ("", 0), ("/", 0), ("/0", 0), ("/15", 15), ("/x", nil), ("/1x", nil), ("/-1", nil), ("/1/2", nil),
    ]

    @Test(arguments: databases)
    func `a database is a number or none at all`(path: String, database: Int?) {
        #expect(RedisConfiguration(url: "redis://a:1\(path)")?.database == database)
        #expect(RedisConfiguration(url: "redis://a:1,b:2\(path)")?.database == database)
    }

    @Test func `a server that comes up late is found, however often all have been tried`() async throws {
        let server = try await TestRedis.started()
        try await server.kill()
        // Nobody listens on the first one's port.
        let url = "redis://:\(TestRedis.password)@127.0.0.1:1,127.0.0.1:\(server.port)/0"
        var configuration = try #require(RedisConfiguration(url: url))
        configuration.connectTimeout = .seconds(5)
        configuration.reconnect = Backoff(base: .milliseconds(1), cap: .milliseconds(1))
        let (failures, input) = AsyncStream<Void>.makeStream()
        let logger = Logger(label: "test") { _ in FailureLog(failures: input) }
        try await withConnection(configuration, logger: logger, connected: false) { redis in
            var count = 0
            for await _ in failures {
                count += 1
                if count == 100 { break }
            }
            try await server.start()
            try await redis.waitUntilConnected(within: patience)
        }
    }

    @Test func `a wait is bounded however many came before`() {
        let backoff = Backoff(base: .milliseconds(50), cap: .seconds(2))
        let ceilings = [-1, 0, 1, 5, 6, 1000, Int.max].map { backoff.ceiling(attempt: $0) }
        #expect(ceilings == [50, 50, 100, 1600, 2000, 2000, 2000].map { Duration.milliseconds($0) })
        #expect(Backoff(base: .zero, cap: .seconds(2)).ceiling(attempt: .max) == .zero)
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

/// Hears of every attempt that failed.
private struct FailureLog: LogHandler {
    let failures: AsyncStream<Void>.Continuation
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel = Logger.Level.debug

    init(failures: AsyncStream<Void>.Continuation) { self.failures = failures }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        if event.metadata?["reason"] != nil { failures.yield() }
    }
}
