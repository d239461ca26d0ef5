import Coordination
import Logging
import Redis
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(3))) struct RateLimiterTests {
    private static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func limiter(
        _ redis: RedisConnection, replicas: Int = 1, logger: Logger = quiet, clock: ManualClock? = nil
    ) -> RateLimiter {
        RateLimiter(
            redis: redis, replicas: { replicas }, logger: logger,
            settings: clock.map { clock in RateLimiter.Settings(now: { clock.now }) } ?? RateLimiter.Settings()
        )
    }

    @Test func `the burst passes, the next is refused and told when`() async throws {
        try await withRedis { _, redis in
            let limiter = limiter(redis)
            let policy = try RatePolicy(name: "developer", limit: 30, period: .seconds(6000), burst: 10)
            for left in (0..<10).reversed() {
                let decision = await limiter.decide([RateCharge(policy: policy, key: "ann")], scope: "acme")
                #expect(decision.allowed)
                #expect(decision.mode == .fleet)
                #expect(decision.violated == [])
                #expect(decision.retryAfter == nil)
                #expect(decision.standings[0].remaining == left)
            }
            let refused = await limiter.decide([RateCharge(policy: policy, key: "ann")], scope: "acme")
            #expect(!refused.allowed)
            #expect(refused.violated == ["developer"])
            #expect(!refused.neverAdmissible)
            let wait = try #require(refused.retryAfter)
            #expect(wait > .seconds(100) && wait <= .seconds(200))
            #expect(refused.standings[0].reset > .seconds(1900) && refused.standings[0].reset <= .seconds(2000))
            let other = await limiter.decide([RateCharge(policy: policy, key: "bob")], scope: "acme")
            #expect(other.allowed)
            let elsewhere = await limiter.decide([RateCharge(policy: policy, key: "ann")], scope: "other")
            #expect(elsewhere.allowed)
        }
    }

    @Test func `two limiters under contention admit exactly the burst together`() async throws {
        try await withRedis { _, redis in
            let limiters = [limiter(redis), limiter(redis)]
            let policy = try RatePolicy.slow(burst: 50)
            let allowed = await withTaskGroup(of: Bool.self) { group in
                for index in 0..<200 {
                    group.addTask {
                        await limiters[index % 2].decide([RateCharge(policy: policy, key: "k")], scope: "t").allowed
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(allowed == 50)
        }
    }

    @Test func `a refusal takes nothing from any policy`() async throws {
        try await withRedis { _, redis in
            let limiter = limiter(redis)
            let wide = RateCharge(policy: try .slow("tenant", burst: 100), key: "t")
            let narrow = RateCharge(policy: try .slow("route", burst: 2), key: "r")
            for _ in 0..<2 { await #expect(limiter.decide([wide, narrow], scope: "t").allowed) }
            for _ in 0..<20 {
                let refused = await limiter.decide([wide, narrow], scope: "t")
                #expect(refused.violated == ["route"])
                #expect(refused.standings.map(\.remaining) == [98, 0])
            }
            await #expect(limiter.decide([wide], scope: "t").standings[0].remaining == 97)
        }
    }

    @Test func `a cost above the burst is never admissible and takes nothing`() async throws {
        try await withRedis { _, redis in
            let limiter = limiter(redis)
            let policy = try RatePolicy.slow(burst: 5)
            let refused = await limiter.decide([RateCharge(policy: policy, key: "k", cost: 6)], scope: "t")
            #expect(!refused.allowed)
            #expect(refused.neverAdmissible)
            #expect(refused.retryAfter == nil)
            #expect(refused.violated == ["role"])
            await #expect(limiter.decide([RateCharge(policy: policy, key: "k", cost: 5)], scope: "t").allowed)
        }
    }

    @Test func `charges of one policy and key are added up`() async throws {
        try await withRedis { _, redis in
            let limiter = limiter(redis)
            let charge = RateCharge(policy: try .slow(burst: 5), key: "k", cost: 2)
            let decision = await limiter.decide([charge, charge], scope: "t")
            #expect(decision.standings.map(\.remaining) == [1, 1])
            await #expect(limiter.decide([charge, charge, charge], scope: "t").neverAdmissible)
            await #expect(limiter.decide([], scope: "t").allowed)
        }
    }

    @Test func `what is settled corrects the count both ways and may leave a debt`() async throws {
        try await withRedis { _, redis in
            let limiter = limiter(redis)
            let policy = try RatePolicy.slow("tokens", burst: 1000)
            func charge(_ cost: Int) -> [RateCharge] { [RateCharge(policy: policy, key: "k", cost: cost)] }
            await #expect(limiter.decide(charge(400), scope: "t").standings[0].remaining == 600)
            await limiter.settle(charge(-150), scope: "t")
            await #expect(limiter.decide(charge(0), scope: "t").standings[0].remaining == 750)
            await limiter.settle(charge(900), scope: "t")
            let indebted = await limiter.decide(charge(0), scope: "t")
            #expect(!indebted.allowed)
            let wait = try #require(indebted.retryAfter)
            // 150 of 1000 units, which take 300 days.
            #expect(wait > .seconds(44 * 86400) && wait <= .seconds(45 * 86400))
            // Below zero means nothing to `decide`: only `settle` gives back.
            await #expect(!limiter.decide(charge(-1000), scope: "t").allowed)
        }
    }

    @Test func `keys expire, lie in one slot for each tenant, and no text forges another's`() async throws {
        try await withRedis { _, redis in
            let limiter = limiter(redis)
            let policy = try RatePolicy(name: "a", limit: 10, period: .seconds(1000), burst: 10)
            let colon = try RatePolicy(name: "a:b", limit: 10, period: .seconds(1000), burst: 10)
            var all: Set<Substring> = []
            let tenants = ["acme", "{", "}", "", "a}b{c", "sp ace\n"]
            for tenant in tenants {
                let charges = [
                    RateCharge(policy: policy, key: "b:c"), RateCharge(policy: colon, key: "c"),
                    RateCharge(policy: policy, key: ""), RateCharge(policy: policy, key: "ü}"),
                ]
                let decision = await limiter.decide(charges, scope: tenant)
                #expect(decision.standings.map(\.remaining) == [9, 9, 9, 9])
                let keys = try await redis.command(["KEYS", "*"]).array?.compactMap(\.text) ?? []
                #expect(keys.count == 4)
                var tags: Set<Substring> = []
                for key in keys {
                    tags.insert(try #require(hashTag(key)))
                    let ttl = try await redis.command(["PTTL", .text(key)]).integer ?? -1
                    #expect((1...100_000).contains(ttl))
                }
                #expect(tags.count == 1)
                all.formUnion(tags)
                _ = try await redis.command(["FLUSHDB"])
            }
            #expect(all.count == tenants.count)
        }
    }

    @Test func `without Redis a replica grants its share, warm from what the fleet had decided`() async throws {
        try await withRedis { server, redis in
            let clock = ManualClock()
            let limiter = limiter(redis, replicas: 4, clock: clock)
            let policy = try RatePolicy(name: "role", limit: 60, period: .seconds(60), burst: 20)
            let spent = [RateCharge(policy: policy, key: "spent", cost: 20)]
            let fresh = [RateCharge(policy: policy, key: "fresh")]
            await #expect(limiter.decide(spent, scope: "t").mode == .fleet)
            try await server.kill()
            await redis.waitUntilDisconnected()
            let refused = await limiter.decide([RateCharge(policy: policy, key: "spent")], scope: "t")
            #expect(!refused.allowed)
            #expect(refused.mode == .degraded)
            #expect(refused.violated == ["role"])
            // Others may have used it up, so that there is one, and a quarter of one unit a second.
            let first = await limiter.decide(fresh, scope: "t")
            #expect(first.allowed && first.mode == .degraded)
            let after = await limiter.decide(fresh, scope: "t")
            #expect(!after.allowed)
            #expect(after.retryAfter == .seconds(4))
            clock.advance(.seconds(4))
            await #expect(limiter.decide(fresh, scope: "t").allowed)
            await #expect(!limiter.decide(fresh, scope: "t").allowed)
            // Whole again after a while: a quarter of the burst.
            clock.advance(.seconds(20))
            for _ in 0..<5 { await #expect(limiter.decide(fresh, scope: "t").allowed) }
            await #expect(!limiter.decide(fresh, scope: "t").allowed)
        }
    }

    @Test func `without Redis a large cost needs whole credit but stays admissible`() async throws {
        try await withRedis { server, redis in
            try await server.kill()
            await redis.waitUntilDisconnected()
            let clock = ManualClock()
            let limiter = limiter(redis, replicas: 4, clock: clock)
            let policy = try RatePolicy(name: "role", limit: 60, period: .seconds(60), burst: 20)
            let large = [RateCharge(policy: policy, key: "k", cost: 20)]
            // One unit is there at first, and the rest of the share after 16 s.
            await #expect(limiter.decide(large, scope: "t").retryAfter == .seconds(16))
            clock.advance(.seconds(16))
            await #expect(limiter.decide(large, scope: "t").allowed)
            let refused = await limiter.decide(large, scope: "t")
            #expect(!refused.allowed)
            #expect(!refused.neverAdmissible)
            #expect(refused.retryAfter == .seconds(80))
            let never = await limiter.decide([RateCharge(policy: policy, key: "k", cost: 21)], scope: "t")
            #expect(never.neverAdmissible)
        }
    }

    @Test func `a Redis that comes back is told everything before it counts alone, and peers stay within shares`()
        async throws
    {
        try await withRedis { server, redis in
            let clock = ManualClock()
            let peersAlone = Mutex(false)
            let told = Mutex<[Bool]>([])
            let limiter = RateLimiter(
                redis: redis, replicas: { 2 }, logger: Self.quiet,
                settings: RateLimiter.Settings(
                    peersAlone: { peersAlone.withLock { $0 } },
                    tellPeers: { isAlone in told.withLock { $0.append(isAlone) } },
                    now: { clock.now }))
            let policy = try RatePolicy.slow(burst: 20)
            func take(_ key: String, _ cost: Int = 1) async -> RateDecision {
                await limiter.decide([RateCharge(policy: policy, key: key, cost: cost)], scope: "t")
            }
            await #expect(take("fleet", 20).allowed)
            try await server.kill()
            await redis.waitUntilDisconnected()
            await #expect(take("local").mode == .degraded)
            #expect(told.withLock { $0 } == [true])
            try await server.start()
            try await redis.waitUntilConnected(within: patience)
            clock.advance(.milliseconds(501))
            // Another key finds out that Redis is back; all that was known is told on its behalf.
            await #expect(take("other").mode == .fleet)
            #expect(told.withLock { $0 } == [true, false])
            let keys = try await redis.command(["KEYS", "*"]).array?.compactMap(\.text) ?? []
            #expect(keys.count == 3, "\(keys)")
            await #expect(!take("fleet").allowed, "it was used up before Redis forgot it")
            // One unit of two replicas' was granted out of a share that begins with one.
            #expect(await take("local", 0).standings[0].remaining == 0)
            // Another replica counts alone: one unit and half of the rate is this one's.
            peersAlone.withLock { $0 = true }
            await #expect(take("shared").allowed)
            let beyond = await take("shared")
            #expect(!beyond.allowed && beyond.mode == .degraded)
            peersAlone.withLock { $0 = false }
            for _ in 0..<19 { await #expect(take("shared").allowed) }
            let all = await take("shared")
            #expect(!all.allowed && all.mode == .fleet)
        }
    }

    @Test func `what was given back stays so when Redis is away for a moment`() async throws {
        try await withRedis { server, redis in
            let clock = ManualClock()
            let limiter = limiter(redis, clock: clock)
            let policy = try RatePolicy.slow("tokens", burst: 1000)
            func charge(_ cost: Int) -> [RateCharge] { [RateCharge(policy: policy, key: "k", cost: cost)] }
            await #expect(limiter.decide(charge(900), scope: "t").allowed)
            await limiter.settle(charge(-600), scope: "t")
            #expect(limiter.mostUsed(limit: 1) { _, _ in policy }.map(\.remaining) == [700])
            try await server.kill()
            await redis.waitUntilDisconnected()
            await #expect(limiter.decide(charge(0), scope: "t").mode == .degraded)
            try await server.start()
            try await redis.waitUntilConnected(within: patience)
            clock.advance(.milliseconds(501))
            let back = await limiter.decide(charge(0), scope: "t")
            #expect(back.mode == .fleet && back.standings[0].remaining == 700, "\(back)")
        }
    }

    @Test func `a replica whom nobody asks notices an outage and its end`() async throws {
        try await withRedis { server, redis in
            let (tells, tell) = AsyncStream<Bool>.makeStream()
            let (looks, look) = AsyncStream<Void>.makeStream()
            let start = ContinuousClock.now
            let limiter = RateLimiter(
                redis: redis, replicas: { 2 }, logger: Self.quiet,
                settings: RateLimiter.Settings(
                    rest: .milliseconds(20), tellPeers: { tell.yield($0) },
                    now: {
                        look.yield()
                        return Int64((ContinuousClock.now - start) / .microseconds(1))
                    }))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await limiter.run() }
                // It has seen the connection once it answers.
                let charge = [RateCharge(policy: try .slow(burst: 5), key: "k")]
                await #expect(limiter.decide(charge, scope: "t").mode == .fleet)
                // By then it has been running for a while: nobody else looks at the clock.
                var looked = looks.makeAsyncIterator()
                for _ in 0..<12 { await looked.next() }
                try await server.kill()
                var heard = tells.makeAsyncIterator()
                let isAlone = await heard.next()
                #expect(isAlone == true)
                try await server.start()
                let isStillAlone = await heard.next()
                #expect(isStillAlone == false)
                await #expect(limiter.decide(charge, scope: "t").mode == .fleet)
                group.cancelAll()
            }
        }
    }

    @Test func `a route that must not pass uncounted is closed without Redis`() async throws {
        try await withRedis { server, redis in
            let limiter = limiter(redis)
            let charge = [RateCharge(policy: try .slow(burst: 5), key: "k")]
            await #expect(limiter.decide(charge, scope: "t", failure: .closed).allowed)
            try await server.kill()
            await redis.waitUntilDisconnected()
            let refused = await limiter.decide(charge, scope: "t", failure: .closed)
            #expect(!refused.allowed)
            #expect(refused.mode == .closed)
            #expect(refused.violated == [])
            let wait = try #require(refused.retryAfter)
            #expect(wait > .zero && wait <= .milliseconds(500))
        }
    }

    @Test func `each transition is one log line, however many requests see it`() async throws {
        try await withRedis { server, redis in
            let recorder = LogRecorder()
            let clock = ManualClock()
            let limiter = limiter(redis, logger: recorder.logger, clock: clock)
            let charge = [RateCharge(policy: try .slow(burst: 100_000), key: "k")]
            func load(_ mode: RateDecision.Mode) async {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<200 {
                        group.addTask { await #expect(limiter.decide(charge, scope: "t").mode == mode) }
                    }
                }
            }
            for round in 1...2 {
                await load(.fleet)
                #expect(recorder.all.count == 2 * (round - 1))
                try await server.kill()
                await redis.waitUntilDisconnected()
                await load(.degraded)
                clock.advance(.seconds(1))
                await load(.degraded)
                #expect(recorder.all.count == 2 * round - 1)
                try await server.start()
                try await redis.waitUntilConnected(within: patience)
                clock.advance(.seconds(1))
                await #expect(limiter.decide(charge, scope: "t").mode == .fleet)
                #expect(recorder.all.count == 2 * round)
            }
            #expect(recorder.all.filter { $0.hasPrefix("warning Rate limits are degraded") }.count == 2)
            #expect(recorder.all.filter { $0.hasPrefix("notice Rate limits are counted by the fleet") }.count == 2)
        }
    }

    @Test func `a paused Redis delays the first requests, not those that follow`() async throws {
        try await withRedis(timeout: .seconds(5)) { server, redis in
            let clock = ManualClock()
            let recorder = LogRecorder()
            let limiter = limiter(redis, logger: recorder.logger, clock: clock)
            let charge = [RateCharge(policy: try .slow(burst: 100_000), key: "k")]
            await #expect(limiter.decide(charge, scope: "t").mode == .fleet, "\(recorder.all)")
            server.pause()
            await #expect(limiter.decide(charge, scope: "t").mode == .degraded)
            let start = ContinuousClock.now
            for _ in 0..<1000 { await #expect(limiter.decide(charge, scope: "t").mode == .degraded) }
            // A thousand waits would be a thousand seconds.
            #expect(ContinuousClock.now - start < .seconds(20))
            server.resume()
            try await redis.waitUntilConnected(within: patience)
            await #expect(limiter.decide(charge, scope: "t").mode == .degraded)
            clock.advance(.milliseconds(501))
            await #expect(limiter.decide(charge, scope: "t").mode == .fleet)
        }
    }

    @Test func `a key of absurd length is decided here and does not cost the others Redis`() async throws {
        try await withRedis { _, redis in
            let limiter = limiter(redis)
            let policy = try RatePolicy.slow(burst: 5)
            let absurd = RateCharge(policy: policy, key: String(repeating: "k", count: 9 << 20))
            await #expect(limiter.decide([absurd], scope: "t").mode == .degraded)
            await #expect(limiter.decide([RateCharge(policy: policy, key: "k")], scope: "t").mode == .fleet)
        }
    }

    @Test(arguments: [
        (0, 1, 1), (1, 0, 1), (1, 1, 0), (-1, 1, 1), (2_000_000, 1, 1), (1, 400 * 86400, 1), (1, 86400, 367),
    ])
    func `numbers that make no policy are refused`(limit: Int, seconds: Int, burst: Int) {
        let error = #expect(throws: CoordinationError.self) {
            try RatePolicy(name: "p", limit: limit, period: .seconds(seconds), burst: burst)
        }
        #expect(error?.code == .invalidPolicy)
    }

    /// The part of a key by which a cluster chooses its slot: between the first `{` and the next `}`, unless empty.
    private func hashTag(_ key: String) -> Substring? {
        guard let open = key.firstIndex(of: "{") else { return nil }
        let rest = key[key.index(after: open)...]
        guard let close = rest.firstIndex(of: "}"), close > rest.startIndex else { return nil }
        return rest[..<close]
    }
}
