internal import Redis

/// `CellRate` as a Lua script, which Redis runs as one step for the whole fleet. All numbers are integers below 2^53,
/// which Lua's doubles hold exactly.
///
/// One call decides a run of equal requests, one after the other at the same instant: the first refused one ends it,
/// since those behind it would meet the same state.
enum RateScript {
    /// KEYS: one per cell. ARGV: now in microseconds (0: the server's clock), force (0 or 1), the number of requests,
    /// then interval, burst, cost and floor of each cell. Answers how many requests were allowed and at which time,
    /// then, as the last decided request met them, retry, remaining and reset of each cell.
    static let script = RedisScript(
        """
        local now, force, count = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
        if now == 0 then
          local time = redis.call('TIME')
          now = time[1] * 1000000 + time[2]
        end
        local cells = {}
        for i = 1, #KEYS do
          local at = 4 * i
          local interval, burst, cost = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
          local floor = tonumber(ARGV[at + 3])
          local capacity = burst * interval
          local arrival = tonumber(redis.call('GET', KEYS[i]) or now)
          cells[i] = {
            interval = interval, capacity = capacity, never = cost > burst and not force,
            step = math.min(math.max(cost, -2 * burst), 2 * burst) * interval,
            floor = floor, arrival = math.min(math.max(arrival, now + floor), now + 2 * capacity)
          }
        end
        local allowed, refused = 0, false
        while allowed < count and not refused do
          for _, cell in ipairs(cells) do
            cell.after, cell.retry = cell.arrival, -1
            if not cell.never then
              cell.after = math.max(cell.arrival + cell.step, now)
              if force then cell.after = math.min(cell.after, now + 2 * cell.capacity) end
              cell.retry = force and 0 or math.max(0, cell.after - cell.capacity - now)
            end
            if cell.retry ~= 0 then refused = true end
          end
          if not refused then
            allowed = allowed + 1
            for _, cell in ipairs(cells) do cell.arrival = cell.after end
          end
        end
        local out = {allowed, now}
        for i, cell in ipairs(cells) do
          local reset = cell.arrival - now
          if allowed > 0 or cell.floor > 0 then
            if reset > 0 then
              redis.call('SET', KEYS[i], string.format('%.0f', cell.arrival), 'PX', math.ceil(reset / 1000))
            else
              redis.call('DEL', KEYS[i])
            end
          end
          out[#out + 1] = cell.retry
          out[#out + 1] = math.max(0, math.floor((cell.capacity - reset) / cell.interval))
          out[#out + 1] = reset
        end
        return out
        """
    )

    /// KEYS: as many as wanted; ARGV: of each, how many microseconds from now its TAT must lie at least. For what was
    /// granted while Redis was away.
    static let raise = RedisScript(
        """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        for i = 1, #KEYS do
          local floor = tonumber(ARGV[i])
          if tonumber(redis.call('GET', KEYS[i]) or 0) < now + floor then
            redis.call('SET', KEYS[i], string.format('%.0f', now + floor), 'PX', math.ceil(floor / 1000))
          end
        end
        return #KEYS
        """
    )

    /// - Parameter now: microseconds of a clock of the caller's; 0 means the server's. Only tests bring their own.
    static func arguments(
        _ cells: [CellRate.Cell], requests: Int = 1, now: Int64 = 0, force: Bool = false
    ) -> [RedisArgument] {
        [.integer(now), .integer(force ? 1 : 0), .integer(Int64(requests))]
            + cells.flatMap { cell in
                [.integer(cell.interval), .integer(cell.burst), .integer(cell.cost), .integer(max(0, cell.floor))]
            }
    }

    /// How each request of a run came out, in their order; nil when the script's answer is none. `now` turns its
    /// distances into times of the caller's clock.
    static func outcomes(
        _ reply: RedisReply, cells: [CellRate.Cell], requests: Int, now: Int64
    ) -> [CellRate.Outcome]? {
        guard let numbers = reply.array?.compactMap(\.integer), numbers.count == 2 + 3 * cells.count,
            (0...Int64(requests)).contains(numbers[0])
        else { return nil }
        let allowed = Int(numbers[0])
        return (0..<requests).map { request in
            let isAllowed = request < allowed
            let verdicts = cells.enumerated().map { place, cell in
                let (retry, remaining, reset) = (numbers[2 + 3 * place], numbers[3 + 3 * place], numbers[4 + 3 * place])
                if !isAllowed || request == allowed - 1 {
                    return CellRate.Verdict(
                        retry: isAllowed ? 0 : retry, remaining: remaining, reset: reset, arrival: now + reset)
                }
                // What those behind it took was still there.
                let own = reset - Int64(allowed - 1 - request) * cell.cost * cell.interval
                let left = max(0, (cell.burst * cell.interval - own) / cell.interval)
                return CellRate.Verdict(retry: 0, remaining: left, reset: own, arrival: now + own)
            }
            return CellRate.Outcome(allowed: isAllowed, verdicts: verdicts, at: numbers[1])
        }
    }
}
