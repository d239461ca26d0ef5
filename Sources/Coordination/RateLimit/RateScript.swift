internal import Redis

/// `CellRate` as a Lua script, which Redis runs as one step for the whole fleet. All numbers are integers below 2^53,
/// which Lua's doubles hold exactly.
enum RateScript {
    /// KEYS: one per cell. ARGV: now in microseconds (0: the server's clock), force (0 or 1), then interval, burst and
    /// cost of each cell. Answers allowed (0 or 1), then retry, remaining and reset of each cell.
    static let script = RedisScript(
        """
        local now, force = tonumber(ARGV[1]), ARGV[2] == '1'
        if now == 0 then
          local time = redis.call('TIME')
          now = time[1] * 1000000 + time[2]
        end
        local allowed, steps = true, {}
        for i = 1, #KEYS do
          local at = 3 * i
          local interval, burst, cost = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
          local capacity = burst * interval
          local before = tonumber(redis.call('GET', KEYS[i]) or now)
          before = math.min(math.max(before, now), now + 2 * capacity)
          local after, retry = before, -1
          if cost <= burst or force then
            cost = math.min(math.max(cost, -2 * burst), 2 * burst)
            after = math.max(before + cost * interval, now)
            if force then after = math.min(after, now + 2 * capacity) end
            retry = force and 0 or math.max(0, after - capacity - now)
          end
          if retry ~= 0 then allowed = false end
          steps[i] = {before, after, retry, interval, capacity}
        end
        local out = {allowed and 1 or 0}
        for i = 1, #KEYS do
          local before, after, retry, interval, capacity = unpack(steps[i])
          local arrival = allowed and after or before
          if allowed then
            if arrival > now then
              local ttl = math.ceil((arrival - now) / 1000)
              redis.call('SET', KEYS[i], string.format('%.0f', arrival), 'PX', ttl)
            else
              redis.call('DEL', KEYS[i])
            end
          end
          out[#out + 1] = retry
          out[#out + 1] = math.max(0, math.floor((capacity - (arrival - now)) / interval))
          out[#out + 1] = arrival - now
        end
        return out
        """
    )

    /// - Parameter now: microseconds of a clock of the caller's; 0 means the server's. Only tests bring their own.
    static func arguments(_ cells: [CellRate.Cell], now: Int64 = 0, force: Bool = false) -> [RedisArgument] {
        [.integer(now), .integer(force ? 1 : 0)]
            + cells.flatMap { [.integer($0.interval), .integer($0.burst), .integer($0.cost)] }
    }

    /// The script's answer for `count` cells; nil when it is none. `now` turns its distances into times.
    static func outcome(_ reply: RedisReply, count: Int, now: Int64) -> CellRate.Outcome? {
        guard let numbers = reply.array?.compactMap(\.integer), numbers.count == 1 + 3 * count else { return nil }
        let verdicts = (0..<count).map { index in
            let at = 1 + 3 * index
            return CellRate.Verdict(
                retry: numbers[at], remaining: numbers[at + 1], reset: numbers[at + 2], arrival: now + numbers[at + 2]
            )
        }
        return CellRate.Outcome(allowed: numbers[0] == 1, verdicts: verdicts)
    }
}
