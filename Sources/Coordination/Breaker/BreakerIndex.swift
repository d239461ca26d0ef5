internal import Redis

/// The names of all breakers that any replica uses, in one sorted set by when they were last used.
struct BreakerIndex: Sendable {
    static let key = "golden:breakers"
    /// A name that no replica has used for this long goes.
    static let keptSeconds: Int64 = 86_400
    static let namesMax = 1000

    let redis: RedisConnection
    let timeout: Duration

    /// KEYS: the index. ARGV: kept seconds, then names.
    private static let noting = RedisScript(
        """
        local now = tonumber(redis.call('TIME')[1])
        for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
        redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[1]))
        """
    )

    func note(_ names: [String]) async throws(RedisError) {
        guard !names.isEmpty else { return }
        _ = try await redis.evaluate(
            Self.noting, keys: [Self.key], arguments: [.integer(Self.keptSeconds)] + names.map { .text($0) },
            timeout: timeout
        )
    }

    func names() async throws(RedisError) -> [String] {
        let reply = try await redis.command(
            ["ZREVRANGE", .text(Self.key), "0", .integer(Int64(Self.namesMax - 1))], timeout: timeout
        )
        return (reply.array ?? []).compactMap(\.text)
    }

    func holds(_ name: String) async throws(RedisError) -> Bool {
        try await redis.command(["ZSCORE", .text(Self.key), .text(name)], timeout: timeout) != .null
    }
}
