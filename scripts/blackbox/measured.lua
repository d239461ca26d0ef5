-- What the wrk scripts share: a number for each thread, and all that was measured as one line of JSON.
local numbered = 0

function setup(thread)
   numbered = numbered + 1
   thread:set("number", numbered)
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '{"answers":%d,"microseconds":%d,"bad_status":%d,"broken":%d,"p50":%d,"p99":%d,"max":%d}\n',
      summary.requests, summary.duration, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(99), latency.max
   ))
end
