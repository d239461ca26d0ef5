-- wrk script: POST /tasks, each request with an Idempotency-Key of its own.
-- TOKEN, BODY and RUN come from the environment; COUNT > 0 sends that many requests in all and then waits.
local token, body, run = os.getenv("TOKEN"), os.getenv("BODY"), os.getenv("RUN")
local count, threads = tonumber(os.getenv("COUNT") or "0"), tonumber(os.getenv("THREADS"))
local issued, head, tail = 0, nil, "\r\n\r\n" .. body
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "measured.lua")

function init()
   head = "POST /tasks HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
      .. "\r\nAuthorization: Bearer " .. token .. "\r\nContent-Type: application/json"
      .. "\r\nContent-Length: " .. #body .. "\r\nIdempotency-Key: " .. run .. "-" .. number .. "-"
end

function request()
   issued = issued + 1
   return head .. issued .. tail
end

if count > 0 then
   -- wrk asks for the delay before each request; a thread that has sent its share sleeps until it is stopped.
   local share = count / threads
   function delay()
      if issued < share then return 0 end
      return 3600000
   end
end
