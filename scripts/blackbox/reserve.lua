-- wrk script: POST /budget/request, each with a request_id of its own, all on one account.
-- TOKEN, PROJECT and RUN come from the environment.
local token, project, run = os.getenv("TOKEN"), os.getenv("PROJECT"), os.getenv("RUN")
local issued, head = 0, nil
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "measured.lua")

function init()
   head = "POST /budget/request HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
      .. "\r\nAuthorization: Bearer " .. token .. "\r\nContent-Type: application/json\r\nContent-Length: "
end

function request()
   issued = issued + 1
   local body = '{"request_id":"' .. run .. "-" .. number .. "-" .. issued
      .. '","tokens":1,"ttl_seconds":86400,"project":"' .. project .. '"}'
   return head .. #body .. "\r\n\r\n" .. body
end
