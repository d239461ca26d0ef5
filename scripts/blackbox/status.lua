-- wrk script: GET what the command line names; counts the answers whose status is not STATUS, of the environment.
local expected = tonumber(os.getenv("STATUS"))
local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function init()
   -- No local: each thread's is read at the end.
   others = 0
end

function response(status)
   if status ~= expected then others = others + 1 end
end

function done(summary)
   local sum = 0
   for _, thread in ipairs(threads) do sum = sum + thread:get("others") end
   local errors = summary.errors
   io.write(string.format(
      '{"answers":%d,"others":%d,"broken":%d}\n',
      summary.requests, sum, errors.connect + errors.read + errors.write + errors.timeout
   ))
end
