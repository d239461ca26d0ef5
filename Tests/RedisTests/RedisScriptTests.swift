import Redis
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RedisScriptTests {
    static let double = RedisScript("return redis.call('INCRBY', KEYS[1], ARGV[1] * 2)")

    @Test func `the digest is the one Redis computes`() async throws {
        #expect(RedisScript("return 1").digest == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db")
        try await withRedis { _, redis in
            for source in ["", "return 'ä'", Self.double.source] {
                let loaded = try await redis.command(["SCRIPT", "LOAD", .text(source)])
                #expect(loaded.text == RedisScript(source).digest)
            }
        }
    }

    @Test func `a script unknown to the server is taught and run once`() async throws {
        try await withRedis { _, redis in
            try await #expect(redis.evaluate(Self.double, keys: ["n"], arguments: [4]) == .integer(8))
            _ = try await redis.command(["SCRIPT", "FLUSH"])
            try await #expect(redis.evaluate(Self.double, keys: ["n"], arguments: [1]) == .integer(10))
        }
    }

    @Test func `flushing scripts under traffic disturbs nobody`() async throws {
        try await withRedis { _, redis in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<64 {
                    group.addTask {
                        for round in 1...100 {
                            if caller % 2 == 0 {
                                let reply = try await redis.command(["ECHO", .text("\(caller) \(round)")])
                                #expect(reply.text == "\(caller) \(round)")
                            } else {
                                let reply = try await redis.evaluate(
                                    Self.double, keys: ["n \(caller)"], arguments: [1]
                                )
                                #expect(reply.integer == Int64(2 * round))
                            }
                        }
                    }
                }
                group.addTask {
                    for _ in 0..<20 { _ = try await redis.command(["SCRIPT", "FLUSH"]) }
                }
                try await group.waitForAll()
            }
            #expect(redis.isConnected)
        }
    }

    @Test func `a restarted server learns the script again`() async throws {
        try await withRedis { server, redis in
            _ = try await redis.evaluate(Self.double, keys: ["n"], arguments: [4])
            try await server.kill()
            await wait(redis) { $0.isDisconnected }
            try await server.start()
            await wait(redis) { $0.isConnected }
            try await #expect(redis.evaluate(Self.double, keys: ["n"], arguments: [4]) == .integer(8))
        }
    }

    @Test func `an error the script raises is the server's`() async throws {
        try await withRedis { _, redis in
            let broken = RedisScript("return redis.call('INCR', KEYS[1], 'too', 'many')")
            let error = await failure { () throws(RedisError) in
                _ = try await redis.evaluate(broken, keys: ["n"], arguments: [])
            }
            #expect(error?.code == .server("ERR"))
        }
    }
}
