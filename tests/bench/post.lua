-- For wrk: POSTs bodies that differ in one number. Arguments: a file of templates, one a line, each
-- with the marker @NUMBER@; the first number; and "close" for a new connection for each request.
local before, after, number, at = {}, {}, 0, 0

function init(arguments)
  local close = arguments[3] == "close" and "Connection: close\r\n" or ""
  number = tonumber(arguments[2])
  for line in io.lines(arguments[1]) do
    local from, to = line:find("@NUMBER@", 1, true)
    local head, tail = line:sub(1, from - 1), line:sub(to + 1)
    before[#before + 1] = string.format(
      "POST %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s",
      wrk.path, wrk.host, wrk.port, close, #head + 12 + #tail, head)
    after[#after + 1] = tail
  end
end

function request()
  number = number + 1
  at = at % #before + 1
  return before[at] .. string.format("%012.0f", number) .. after[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "errors": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
