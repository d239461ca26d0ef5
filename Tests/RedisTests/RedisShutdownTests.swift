import Redis
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RedisShutdownTests {
    @Test func `a shutdown lets outstanding commands finish and refuses new ones`() async throws {
        let server = try await TestRedis.started()
        let redis = RedisConnection(configuration(server), logger: quietLogger)
        async let running: Void = redis.run()
        try await redis.waitUntilConnected(within: patience)
        server.pause()
        let tally = Tally()
        let outcomes = Task {
            await withTaskGroup(of: RedisError.Code?.self) { group in
                for _ in 0..<256 {
                    group.addTask {
                        tally.add("begun")
                        return await failure { () throws(RedisError) in
                            _ = try await redis.command(["INCR", "n"])
                        }?.code
                    }
                }
                return await group.reduce(into: [RedisError.Code?]()) { $0.append($1) }
            }
        }
        while tally["begun"] < 256 { await Task.yield() }
        async let down: Void = redis.shutdown(within: patience)
        // Only once a command is refused is the intake closed, and only then may the server answer.
        var probes: [Task<Void, Never>] = []
        while tally["closed"] == 0 {
            probes.append(
                Task {
                    let error = await failure { () throws(RedisError) in _ = try await redis.command(["PING"]) }
                    tally.add(error?.code.rawValue ?? "answered")
                }
            )
            for _ in 0..<100 { await Task.yield() }
        }
        server.resume()
        await down
        try await running
        let codes = await outcomes.value
        for probe in probes { await probe.value }
        #expect(tally["closed"] + tally["answered"] == probes.count)
        #expect(codes.allSatisfy { $0 == nil || $0 == .closed })
        #expect(codes.filter { $0 == nil }.count > 200)
        #expect(!redis.isConnected)
    }

    @Test func `a shutdown under load ends every caller within its limit`() async throws {
        let server = try await TestRedis.started()
        let redis = RedisConnection(configuration(server, timeout: .seconds(60)), logger: quietLogger)
        async let running: Void = redis.run()
        try await redis.waitUntilConnected(within: patience)
        server.pause()
        let waiting = Task {
            await withTaskGroup(of: RedisError.Code?.self) { group in
                for _ in 0..<512 {
                    group.addTask {
                        await failure { () throws(RedisError) in _ = try await redis.command(["PING"]) }?.code
                    }
                }
                return await group.reduce(into: [RedisError.Code?]()) { $0.append($1) }
            }
        }
        await Task.yield()
        let start = ContinuousClock.now
        await redis.shutdown(within: .milliseconds(200))
        #expect(ContinuousClock.now - start < .seconds(20))
        try await running
        await #expect(waiting.value.allSatisfy { $0 == .closed })
        let states = redis.stateChanges()
        await #expect(states.first { _ in true }?.isClosed == true)
    }

    @Test func `cancelling run closes the connection`() async throws {
        let server = try await TestRedis.started()
        let redis = RedisConnection(configuration(server), logger: quietLogger)
        let running = Task { try await redis.run() }
        try await redis.waitUntilConnected(within: patience)
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
        let error = await failure { () throws(RedisError) in _ = try await redis.command(["PING"]) }
        #expect(error?.code == .closed)
    }

    @Test func `a shutdown before run ends run at once`() async throws {
        let redis = RedisConnection(RedisConfiguration(port: freePort()), logger: quietLogger)
        await redis.shutdown(within: .seconds(1))
        try await redis.run()
        let error = await failure { () throws(RedisError) in try await redis.waitUntilConnected(within: patience) }
        #expect(error?.code == .closed)
    }

    @Test func `a shutdown does not wait for a server that is away`() async throws {
        let server = try await TestRedis.started()
        server.pause()
        var slow = configuration(server)
        slow.connectTimeout = .seconds(60)
        let redis = RedisConnection(slow, logger: quietLogger)
        async let running: Void = redis.run()
        let start = ContinuousClock.now
        await redis.shutdown(within: .milliseconds(100))
        try await running
        #expect(ContinuousClock.now - start < .seconds(20))
    }
}
