import Redis
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RedisFailureTests {
    @Test func `a server killed and restarted under traffic costs typed errors, never a wrong reply`() async throws {
        try await withRedis { server, redis in
            let tally = Tally()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<64 {
                    group.addTask {
                        var round = 0
                        while !Task.isCancelled {
                            round += 1
                            do throws(RedisError) {
                                let reply = try await redis.command(["ECHO", .text("\(caller) \(round)")])
                                tally.add(reply.text == "\(caller) \(round)" ? "right" : "wrong")
                            } catch {
                                tally.add(error.code.rawValue)
                                await wait(redis) { $0.isConnected || $0.isClosed }
                            }
                        }
                    }
                }
                for _ in 0..<3 {
                    let before = tally["right"]
                    while tally["right"] < before + 1000 { try await Task.sleep(for: .milliseconds(1)) }
                    try await server.kill()
                    await wait(redis) { $0.isDisconnected }
                    try await server.start()
                    await wait(redis) { $0.isConnected }
                }
                let before = tally["right"]
                while tally["right"] < before + 1000 { try await Task.sleep(for: .milliseconds(1)) }
                group.cancelAll()
                try await group.waitForAll()
            }
            #expect(tally["wrong"] == 0)
            #expect(tally["disconnected"] >= 64 * 2)
            #expect(tally.kinds.isSubset(of: ["right", "disconnected", "cancelled"]))
        }
    }

    @Test func `a paused server is a timeout in time, and the connection comes back with it`() async throws {
        try await withRedis(timeout: .milliseconds(500)) { server, redis in
            server.pause()
            let start = ContinuousClock.now
            let error = await failure { () throws(RedisError) in _ = try await redis.command(["PING"]) }
            let took = ContinuousClock.now - start
            #expect(error?.code == .timeout)
            #expect(took >= .milliseconds(500))
            #expect(took < .seconds(10))
            await wait(redis) { $0.isDisconnected }
            let refused = ContinuousClock.now
            let next = await failure { () throws(RedisError) in _ = try await redis.command(["PING"]) }
            #expect(next?.code == .disconnected)
            #expect(ContinuousClock.now - refused < .seconds(4))
            server.resume()
            await wait(redis) { $0.isConnected }
            try await #expect(redis.command(["PING"], timeout: patience) == .status("PONG"))
        }
    }

    @Test func `others in the pipeline of a timed-out command fail as disconnected, at once`() async throws {
        try await withRedis { server, redis in
            server.pause()
            let start = ContinuousClock.now
            async let patient = failure { () throws(RedisError) in _ = try await redis.command(["PING"]) }
            async let hasty = failure { () throws(RedisError) in
                _ = try await redis.command(["PING"], timeout: .seconds(1))
            }
            await #expect(hasty?.code == .timeout)
            let other = await patient
            #expect(other?.code == .disconnected)
            #expect((other?.underlying as? RedisError)?.code == .timeout)
            #expect(ContinuousClock.now - start < patience)
            server.resume()
        }
    }

    @Test func `without a server commands fail at once and the last cause is told`() async throws {
        let nowhere = RedisConfiguration(port: freePort(), commandTimeout: patience)
        let recorder = LogRecorder()
        try await withConnection(nowhere, logger: recorder.logger, connected: false) { redis in
            await wait(redis) { $0.cause != nil }
            let start = ContinuousClock.now
            for _ in 0..<100 {
                let error = await failure { () throws(RedisError) in _ = try await redis.command(["PING"]) }
                #expect(error?.code == .disconnected)
                #expect((error?.underlying as? RedisError)?.code == .connectFailed)
            }
            #expect(ContinuousClock.now - start < .seconds(10))
            let waited = await failure { () throws(RedisError) in
                try await redis.waitUntilConnected(within: .milliseconds(300))
            }
            #expect(waited?.code == .connectFailed)
        }
        #expect(recorder.all.filter { $0.contains("not connected") }.count == 1, "\(recorder.all)")
    }

    @Test func `a wrong password is told as such and never written down`() async throws {
        let server = try await TestRedis.started()
        let wrongs: [(String?, String?)] = [(nil, "wrong-secret"), ("nobody", "wrong-secret"), (nil, nil)]
        for (username, password) in wrongs {
            let recorder = LogRecorder()
            var wrong = configuration(server)
            wrong.username = username
            wrong.password = password
            try await withConnection(wrong, logger: recorder.logger, connected: false) { redis in
                let error = await failure { () throws(RedisError) in
                    try await redis.waitUntilConnected(within: patience)
                }
                #expect(error?.code == .authenticationFailed)
                let command = await failure { () throws(RedisError) in _ = try await redis.command(["PING"]) }
                #expect(command?.code == .disconnected)
                #expect((command?.underlying as? RedisError)?.code == .authenticationFailed)
            }
            #expect(recorder.all.count == 1)
            #expect(recorder.all.allSatisfy { !$0.contains("wrong-secret") })
        }
    }

    @Test func `a cancelled caller returns at once, and its reply is not given to the next`() async throws {
        try await withRedis { server, redis in
            server.pause()
            let tally = Tally()
            let first = Task {
                tally.add("started")
                return await failure { () throws(RedisError) in _ = try await redis.command(["ECHO", "cancelled"]) }
            }
            let second = Task { try await redis.command(["ECHO", "kept"]) }
            while tally["started"] == 0 { await Task.yield() }
            let start = ContinuousClock.now
            first.cancel()
            await #expect(first.value?.code == .cancelled)
            #expect(ContinuousClock.now - start < .seconds(10))
            server.resume()
            try await #expect(second.value.text == "kept")
            for index in 0..<100 {
                try await #expect(redis.command(["ECHO", .text("\(index)")]).text == "\(index)")
            }
        }
    }

    @Test func `cancelling half of 256 callers half-way leaves the other half right`() async throws {
        try await withRedis { _, redis in
            let tally = Tally()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<256 {
                    group.addTask {
                        for round in 0..<50 {
                            let work = Task { try await redis.command(["ECHO", .text("\(caller) \(round)")]) }
                            if caller % 2 == 0 { work.cancel() }
                            do {
                                let reply = try await work.value
                                tally.add(reply.text == "\(caller) \(round)" ? "right" : "wrong")
                            } catch let error as RedisError {
                                tally.add(error.code.rawValue)
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(tally["wrong"] == 0)
            #expect(tally["right"] >= 128 * 50)
            #expect(tally["right"] + tally["cancelled"] == 256 * 50)
            #expect(redis.isConnected)
        }
    }

    @Test func `a caller cancelled before it calls sends nothing`() async throws {
        try await withRedis { _, redis in
            let work = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return await failure { () throws(RedisError) in _ = try await redis.command(["SET", "k", "v"]) }
            }
            await #expect(work.value?.code == .cancelled)
            try await #expect(redis.command(["DBSIZE"]) == .integer(0))
        }
    }

    @Test func `a primary that became a replica is left for a new connection`() async throws {
        try await withRedis { _, redis in
            _ = try await redis.command(["REPLICAOF", "127.0.0.1", .text("\(freePort())")])
            let states = redis.stateChanges()
            let error = await failure { () throws(RedisError) in _ = try await redis.command(["SET", "k", "v"]) }
            #expect(error?.code == .server("READONLY"))
            let left = await states.first { $0.isDisconnected }
            #expect(left?.cause?.code == .disconnected)
            await wait(redis) { $0.isConnected }
        }
    }

    @Test func `a server that speaks no Redis is refused`() async throws {
        let garbage = try ScriptedServer(answers: [["+PONG\r\n"], ["HTTP/1.1 400 Bad Request\r\n\r\n"]])
        let wrong = RedisConfiguration(port: garbage.port, commandTimeout: patience)
        try await withConnection(wrong, connected: false) { redis in
            await wait(redis) { $0.isConnected }
            let error = await failure { () throws(RedisError) in _ = try await redis.command(["PING"]) }
            #expect(error?.code == .disconnected)
            #expect((error?.underlying as? RedisError)?.code == .protocolViolation)
        }
    }

    @Test func `a reply nobody asked for drops the connection`() async throws {
        let chatty = try ScriptedServer(answers: [["+PONG\r\n"], ["+one\r\n+two\r\n"]])
        let wrong = RedisConfiguration(port: chatty.port, commandTimeout: patience)
        try await withConnection(wrong, connected: false) { redis in
            await wait(redis) { $0.isConnected }
            let states = redis.stateChanges()
            try await #expect(redis.command(["PING"]).text == "one")
            await #expect(states.first { $0.isDisconnected }?.cause?.code == .protocolViolation)
        }
    }

    @Test func `a server that takes the connection and says nothing is a failed connect`() async throws {
        let silent = try ScriptedServer(answers: [])
        var slow = RedisConfiguration(port: silent.port, connectTimeout: .milliseconds(150))
        slow.password = "any"
        try await withConnection(slow, connected: false) { redis in
            await #expect(wait(redis) { $0.cause != nil }?.cause?.code == .connectFailed)
        }
    }
}
