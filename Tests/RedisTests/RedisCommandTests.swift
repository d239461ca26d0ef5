import Redis
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RedisCommandTests {
    @Test func `every kind of reply arrives as its own kind`() async throws {
        try await withRedis { _, redis in
            try await #expect(redis.command(["SET", "k", "v"]) == .status("OK"))
            try await #expect(redis.command(["GET", "k"]) == .bytes(Array("v".utf8)))
            try await #expect(redis.command(["GET", "absent"]) == .null)
            try await #expect(redis.command(["INCRBY", "n", 41]) == .integer(41))
            try await #expect(redis.command(["LRANGE", "absent", 0, -1]) == .array([]))
            let nested = try await redis.command(["EVAL", "return {1, {'a', false}, {{}}}", 0])
            #expect(nested == .array([.integer(1), .array([.bytes([97]), .null]), .array([.array([])])]))
        }
    }

    @Test func `arguments are sent byte for byte`() async throws {
        try await withRedis { _, redis in
            let odd = [UInt8](0...255) + Array("\r\n*3\r\n$3\r\nDEL\r\n".utf8)
            _ = try await redis.command(["SET", .bytes(odd), .bytes(odd)])
            try await #expect(redis.command(["GET", .bytes(odd)]) == .bytes(odd))
            _ = try await redis.command(["SET", "empty", ""])
            try await #expect(redis.command(["GET", "empty"]) == .bytes([]))
            try await #expect(redis.command(["DBSIZE"]) == .integer(2))
        }
    }

    @Test func `an error reply is thrown with its word`() async throws {
        try await withRedis { _, redis in
            _ = try await redis.command(["SET", "text", "v"])
            let error = await failure { () throws(RedisError) in _ = try await redis.command(["INCR", "text"]) }
            #expect(error?.code == .server("ERR"))
            let kind = await failure { () throws(RedisError) in _ = try await redis.command(["LPUSH", "text", "v"]) }
            #expect(kind?.code == .server("WRONGTYPE"))
            #expect(kind?.code.rawValue == "server:WRONGTYPE")
            #expect(redis.isConnected)
        }
    }

    @Test func `an error inside an array is thrown and the connection lives`() async throws {
        try await withRedis { _, redis in
            let script = "return {1, redis.error_reply('BROKEN on purpose'), 2}"
            let error = await failure { () throws(RedisError) in
                _ = try await redis.command(["EVAL", .text(script), 0])
            }
            #expect(error?.code == .server("BROKEN"))
            try await #expect(redis.command(["PING"]) == .status("PONG"))
        }
    }

    @Test func `256 callers each get their own replies in order`() async throws {
        try await withRedis { _, redis in
            let rounds: Int64 = 200
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<256 {
                    group.addTask {
                        for round in 1...rounds {
                            let text = "\(caller) \(round)"
                            let echo = try await redis.command(["ECHO", .text(text)])
                            #expect(echo.text == text)
                            let count = try await redis.command(["INCR", .text("count \(caller)")])
                            #expect(count == .integer(round))
                        }
                    }
                }
                try await group.waitForAll()
            }
            let processed = try await redis.command(["INFO", "stats"]).text ?? ""
            #expect(processed.contains("total_commands_processed"))
            try await #expect(redis.command(["DBSIZE"]) == .integer(256))
        }
    }

    @Test func `replies and commands of many megabytes pass whole, small ones among them`() async throws {
        try await withRedis { _, redis in
            let big = [UInt8]((0..<6_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
            _ = try await redis.command(["SET", "big", .bytes(big)])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<12 {
                    group.addTask {
                        if index % 4 == 0 {
                            try await #expect(redis.command(["GET", "big"]) == .bytes(big))
                        } else {
                            try await #expect(redis.command(["ECHO", .text("\(index)")]).text == "\(index)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            let many = try await redis.command(["EVAL", "local t = {} for i = 1, 100000 do t[i] = i end return t", 0])
            #expect(many.array?.count == 100_000)
            #expect(many.array?.last == .integer(100_000))
        }
    }

    @Test func `a command above the bound is refused before anything is sent`() async throws {
        try await withRedis(change: { $0.maxCommandBytes = 1000 }) { _, redis in
            let error = await failure { () throws(RedisError) in
                _ = try await redis.command(["SET", "k", .bytes([UInt8](repeating: 1, count: 1000))])
            }
            #expect(error?.code == .tooLarge)
            #expect(redis.isConnected)
            try await #expect(redis.command(["DBSIZE"]) == .integer(0))
        }
    }

    @Test func `a reply above the bound drops the connection, which comes back`() async throws {
        try await withRedis(change: { $0.maxReplyBytes = 300_000 }) { _, redis in
            let fits = try await redis.command(["EVAL", "return string.rep('x', 200000)", 0])
            #expect(fits.bytes?.count == 200_000)
            let error = await failure { () throws(RedisError) in
                _ = try await redis.command(["EVAL", "return string.rep('x', 2000000)", 0])
            }
            #expect(error?.code == .disconnected)
            #expect((error?.underlying as? RedisError)?.code == .tooLarge)
            await wait(redis) { $0.isConnected }
            try await #expect(redis.command(["PING"]) == .status("PONG"))
        }
    }

    @Test func `outstanding commands are bounded in number and in bytes, and room comes back`() async throws {
        try await withRedis(change: { $0.maxQueued = 8 }) { server, redis in
            server.pause()
            let codes = await codes(20) { () throws(RedisError) in
                _ = try await redis.command(["PING"], timeout: .seconds(2))
            }
            #expect(codes.filter { $0 == .overloaded }.count == 12)
            // The first that is late takes the connection, and with it the others that were sent.
            #expect(codes.contains(.timeout))
            #expect(codes.filter { $0 == .timeout || $0 == .disconnected }.count == 8)
            server.resume()
            await wait(redis) { $0.isConnected }
            try await #expect(redis.command(["PING"]) == .status("PONG"))
        }
        try await withRedis(change: { $0.maxQueuedBytes = 10_000 }) { server, redis in
            server.pause()
            let codes = await codes(4) { () throws(RedisError) in
                _ = try await redis.command(["ECHO", .bytes([UInt8](repeating: 7, count: 4000))], timeout: .seconds(2))
            }
            #expect(codes.filter { $0 == .overloaded }.count == 2)
            server.resume()
        }
    }

    @Test func `a named user and a numbered database are used`() async throws {
        let server = try await TestRedis.started()
        try await withConnection(configuration(server)) { redis in
            _ = try await redis.command(["ACL", "SETUSER", "worker", "on", ">secret", "~*", "+@all", "-flushall"])
        }
        var named = configuration(server)
        named.username = "worker"
        named.password = "secret"
        named.database = 3
        try await withConnection(named) { redis in
            try await #expect(redis.command(["ACL", "WHOAMI"]).text == "worker")
            try await #expect(redis.command(["CLIENT", "INFO"]).text?.contains(" db=3 ") == true)
            let error = await failure { () throws(RedisError) in _ = try await redis.command(["FLUSHALL"]) }
            #expect(error?.code == .server("NOPERM"))
        }
    }

    /// Runs `body` that many times at once and gives the codes of the errors.
    private func codes(
        _ count: Int, _ body: @escaping @Sendable () async throws(RedisError) -> Void
    ) async -> [RedisError.Code] {
        await withTaskGroup(of: RedisError.Code?.self) { group in
            for _ in 0..<count { group.addTask { await failure(body)?.code } }
            return await group.reduce(into: []) { codes, code in if let code { codes.append(code) } }
        }
    }
}
