internal import Redis

/// The steps of a presence board that must not be torn apart. KEYS: the sorted set of ids by the millisecond they
/// expire, and the hash of bodies.
enum PresenceScripts {
    /// Takes off who has expired, at most 1,000 at a time so that no script runs long; the next one takes the rest.
    private static let prune = """
        local time = redis.call('TIME')
        local now = time[1] * 1000 + math.floor(time[2] / 1000)
        local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)
        if #gone > 0 then
          redis.call('ZREM', KEYS[1], unpack(gone))
          redis.call('HDEL', KEYS[2], unpack(gone))
        end
        """

    /// ARGV: id, body, ttl in milliseconds, most members. Answers 1, or 0 when there is no room.
    static let announce = RedisScript(
        prune + """

            local ttl = tonumber(ARGV[3])
            if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then
              return 0
            end
            redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
            redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
            for i = 1, 2 do
              if redis.call('PTTL', KEYS[i]) < ttl then redis.call('PEXPIRE', KEYS[i], ttl) end
            end
            return 1
            """
    )

    /// ARGV: id.
    static let withdraw = RedisScript(
        """
        redis.call('HDEL', KEYS[2], ARGV[1])
        return redis.call('ZREM', KEYS[1], ARGV[1])
        """
    )

    /// ARGV: most members. Answers the ids of those who have not expired.
    static let members = RedisScript(
        prune + """

            return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'LIMIT', 0, ARGV[1])
            """
    )
}
