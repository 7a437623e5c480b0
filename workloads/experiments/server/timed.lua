-- SPDX-License-Identifier: LGPL-2.1-or-later
-- timed.lua: clients that time each of their requests, for wrk with one connection per thread.
-- Arguments: those of mix.lua, how many milliseconds a client waits before each request, and a file
-- name. Client N writes FILE.N: per request, when it was sent and how long its answer took, in
-- nanoseconds of CLOCK_MONOTONIC.

local ffi = require("ffi")
ffi.cdef("typedef struct { long s, ns; } timespec; int clock_gettime(int, timespec *);")
local time, sent = ffi.new("timespec")

local function now()
  ffi.C.clock_gettime(1, time)
  return tonumber(time.s) * 1e9 + tonumber(time.ns)
end

dofile(debug.getinfo(1, "S").source:match("^@(.*)timed%.lua$") .. "mix.lua")
local mix_init, mix_request, mix_response = init, request, response

function init(arguments)
  mix_init(arguments)
  wait = tonumber(arguments[4])
  file = assert(io.open(arguments[5] .. "." .. number, "w"))
end

function delay()
  return wait
end

function request()
  local text = mix_request()
  sent = now()
  return text
end

function response(status, headers, body)
  file:write(string.format("%.0f %.0f\n", sent, now() - sent))
  mix_response(status, headers, body)
end
