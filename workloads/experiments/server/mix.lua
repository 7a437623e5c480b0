-- SPDX-License-Identifier: LGPL-2.1-or-later
-- mix.lua: the load of load.py and timeline.py, for wrk. Arguments: the server's standing tasks, a
-- number to begin the random ones with, and by how many per cent more of the requests replace a
-- task (0).
--
-- No request of it may fail: what is read or replaced is in the standing
-- population, whose names are always there; what is deleted was made by the same
-- thread of wrk, which has seen the answer.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  standing, replacing = tonumber(arguments[1]), tonumber(arguments[3] or 0)
  math.randomseed(tonumber(arguments[2]) + number)
  created, first, last, next_name = {}, 1, 0, 0
end

local function put_task(name)
  local subtasks = string.format('["%s.0","%s.1","%s.2"]', name, name, name)
  local body = '{"title":"made by wrk","subtasks":' .. subtasks .. '}'
  return wrk.format("PUT", "/tasks/" .. name .. "/", nil, body)
end

function request()
  local kind, task = math.random(100), "task-" .. math.random(0, standing - 1)
  if replacing > 0 and math.random(100) <= replacing then
    return put_task(task)
  elseif kind <= 35 then
    return wrk.format("GET", "/tasks/" .. task .. "/")
  elseif kind <= 65 then
    return wrk.format("GET", "/subtasks/" .. task .. "." .. math.random(0, 2) .. "/")
  elseif kind <= 70 then
    return wrk.format("GET", "/tasks/?limit=20")
  elseif kind <= 80 then
    return put_task(task)
  elseif kind <= 85 then
    local path = "/subtasks/" .. task .. "/" .. task .. "." .. math.random(0, 2)
    return wrk.format("PUT", path, nil, '{"title":"new"}')
  elseif kind <= 92 or first > last then
    next_name = next_name + 1
    return put_task(string.format("wrk-%d-%d", number, next_name))
  end
  local name = created[first]
  created[first] = nil
  first = first + 1
  return wrk.format("DELETE", "/tasks/" .. name .. "/")
end

-- wrk builds one request before the run and throws its answer away. Only an answer seen here makes
-- a name to delete.
function response(status, headers, body)
  if status == 201 then
    last = last + 1
    created[last] = body:match('"id":"([^"]*)"')
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  local socket_errors = e.connect + e.read + e.write
  io.write(string.format('{"requests":%d,"duration_us":%d,"bytes":%d,"failed":%d,' ..
    '"status_errors":%d,"socket_errors":%d,"timeouts":%d,',
    summary.requests, summary.duration, summary.bytes, e.status + socket_errors + e.timeout,
    e.status, socket_errors, e.timeout))
  io.write(string.format('"latency_us":{"mean":%.1f,"p50":%d,"p90":%d,"p99":%d,"p99_9":%d,' ..
    '"max":%d}}\n', latency.mean, latency:percentile(50), latency:percentile(90),
    latency:percentile(99), latency:percentile(99.9), latency.max))
end
