internal import Redis

/// `FleetRecord` as a Lua script, which Redis runs as one step for the whole fleet. All numbers are integers below
/// 2^53, which Lua's doubles hold exactly.
enum BreakerScript {
    /// After so many seconds without a replica that reports, the record goes.
    static let keptSeconds: Int64 = 86_400

    /// KEYS: the breaker's hash. ARGV: now in milliseconds (0: the server's clock), openWait, openWaitMax, jitter,
    /// probes, probeLease, halfOpen, idleCloses, replicas, silence, kept seconds, the event, and the event's own.
    /// Answers the answer, now, whether the version changed, the record's fields in the order of `fields`, then the
    /// number of leases and each, then the number of reports and each.
    static let script = RedisScript(source)

    private static let source = load + rules + events + save

    private static let load = """
        local now = tonumber(ARGV[1])
        if now == 0 then
          local time = redis.call('TIME')
          now = time[1] * 1000 + math.floor(time[2] / 1000)
        end
        local openWait, openWaitMax, jitter = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
        local probes, probeLease, halfOpen = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
        local idleCloses, replicas, silence = ARGV[8] == '1', tonumber(ARGV[9]), tonumber(ARGV[10])
        local fields = {'born', 'version', 'phase', 'openings', 'until', 'granted', 'succeeded', 'mode', 'mode_until',
          'changed_at', 'seen', 'reason', 'actor'}
        local r = {born = now, version = now, phase = 0, openings = 0, ['until'] = 0, granted = 0, succeeded = 0,
          mode = 0, mode_until = 0, changed_at = now, seen = now, reason = '', actor = ''}
        local leases, reports, reportCount = {}, {}, 0
        local stored = redis.call('HGETALL', KEYS[1])
        for i = 1, #stored, 2 do
          local field, value = stored[i], stored[i + 1]
          local kind, id = string.match(field, '^(%a+):(.*)$')
          if kind == 'lease' then
            leases[id] = tonumber(value)
          elseif kind == 'report' then
            local report = {}
            for number in string.gmatch(value, '%d+') do report[#report + 1] = tonumber(number) end
            reports[id] = report
          elseif type(r[field]) == 'number' then
            r[field] = tonumber(value)
          else
            r[field] = value
          end
        end
        local back = r.seen - now
        r.seen = now
        if back > 0 then
          r.changed_at = r.changed_at - back
          if r.mode_until > 0 then r.mode_until = r.mode_until - back end
          if r.phase ~= 0 then r['until'] = r['until'] - back end
          for id, till in pairs(leases) do leases[id] = till - back end
          for _, report in pairs(reports) do report[1] = report[1] - back end
        end

        """

    private static let rules = """
        local loaded = r.version
        local function enter(phase, till)
          r.phase, r['until'], r.granted, r.succeeded, leases = phase, till, 0, 0, {}
          r.version = r.version + 1
          r.changed_at = now
          if phase == 0 then
            for _, report in pairs(reports) do report[2] = 0 end
          end
        end
        local function open()
          local wait = math.min(openWait * 2 ^ math.min(r.openings, 20), openWaitMax)
          enter(2, now + math.floor(wait * (1000 + jitter) / 1000))
          r.openings = r.openings + 1
        end
        local function close()
          enter(0, 0)
          r.openings = 0
        end
        local function command(mode, till, reason, actor)
          r.mode, r.mode_until, r.reason, r.actor = mode, till, reason, actor
          close()
        end
        local function conclude()
          if next(leases) or (r.granted < probes and now < r['until']) then return end
          if r.succeeded > 0 or (idleCloses and r.granted == 0) then
            close()
          else
            r.openings = r.openings - 1
            open()
          end
        end
        if r.mode ~= 0 and r.mode_until > 0 and now >= r.mode_until then command(0, 0, '', '') end
        if r.phase == 2 and now >= r['until'] then
          enter(1, now + halfOpen)
        elseif r.phase == 1 then
          local expired = false
          for _, till in pairs(leases) do expired = expired or till <= now end
          if expired then open() else conclude() end
        end
        for id, report in pairs(reports) do
          if now - report[1] > silence then reports[id] = nil else reportCount = reportCount + 1 end
        end
        local event, answer, own = ARGV[12], 0, 13

        """

    private static let events = """
        if event == 'report' then
          local replica, version, phase = ARGV[own], tonumber(ARGV[own + 1]), tonumber(ARGV[own + 2])
          local old = reports[replica]
          if old or reportCount < \(FleetRecord.reportsMax) then
            local vote = old and old[2] or 0
            if r.phase == 0 then vote = (r.mode == 0 and phase ~= 0 and version == r.version) and 1 or 0 end
            reports[replica] = {now, vote, phase, tonumber(ARGV[own + 3]), tonumber(ARGV[own + 4]),
              tonumber(ARGV[own + 5])}
            if not old then reportCount = reportCount + 1 end
          end
          local votes, live = 0, math.max(reportCount, replicas)
          for _, report in pairs(reports) do votes = votes + report[2] end
          local needed = live <= 1 and 1 or math.max(2, math.floor((2 * live + 4) / 5))
          if r.phase == 0 and votes >= needed then open() end
        elseif event == 'acquire' then
          if r.mode == \(BreakerMode.forcedOpen.rawValue) then
            answer = 2
          elseif r.mode ~= 0 or r.phase == 0 then
            answer = 3
          elseif r.phase == 1 and r.granted < probes then
            r.granted = r.granted + 1
            leases[ARGV[own]] = now + probeLease
            answer = 1
          else
            answer = 2
          end
        elseif event == 'finish' then
          local lease, outcome = ARGV[own], tonumber(ARGV[own + 1])
          if r.phase ~= 1 or not leases[lease] then
            answer = 4
          else
            leases[lease] = nil
            if outcome == 0 or outcome == 3 then
              open()
            else
              if outcome == 1 then r.succeeded = r.succeeded + 1 end
              conclude()
            end
          end
        elseif event == 'command' then
          local mode, duration, expected = tonumber(ARGV[own]), tonumber(ARGV[own + 1]), tonumber(ARGV[own + 2])
          if expected >= 0 and expected ~= r.version then
            answer = 4
          else
            command(mode, duration > 0 and now + duration or 0, ARGV[own + 3], ARGV[own + 4])
          end
        end

        """

    private static let save = """
        local function text(value)
          if type(value) == 'number' then return string.format('%.0f', value) end
          return value
        end
        local out, store = {answer, now, r.version ~= loaded and 1 or 0}, {}
        for _, field in ipairs(fields) do
          out[#out + 1] = r[field]
          store[#store + 1] = field
          store[#store + 1] = text(r[field])
        end
        out[#out + 1] = 0
        local place, count = #out, 0
        for id, till in pairs(leases) do
          count = count + 1
          out[#out + 1] = id
          out[#out + 1] = till
          store[#store + 1] = 'lease:' .. id
          store[#store + 1] = text(till)
        end
        out[place] = count
        out[#out + 1] = reportCount
        for id, report in pairs(reports) do
          local numbers = {}
          out[#out + 1] = id
          for i, number in ipairs(report) do
            out[#out + 1] = number
            numbers[i] = text(number)
          end
          store[#store + 1] = 'report:' .. id
          store[#store + 1] = table.concat(numbers, ' ')
        end
        redis.call('DEL', KEYS[1])
        redis.call('HSET', KEYS[1], unpack(store))
        redis.call('EXPIRE', KEYS[1], ARGV[11])
        return out
        """
}
