"""The keys of a log in Redis, and the Lua scripts that are all that touches its entries.

For a prefix `comporta` and partition 3:

    comporta:log:{3}:entries   stream; an entry is a frame of records, its id `<offset>-0`, where
                               the offset is that of the last record in it. Fields, in this order:
                               `n` (records in it), `total` (records ever appended, with these),
                               `frame` (see log/frames.py)
    comporta:log:{3}:meta      hash: `last` (the newest offset), `total` (as above), `committed`
                               (the watermark), `probed_ms` (when somebody last tried to write)
    comporta:log:layout        hash: `partitions`

What is in braces decides the slot in a cluster: all of a partition is in one. A script is atomic,
and so is what it leaves in the append-only file.
"""

from collections.abc import Sequence

from comporta.clients.redis import Script

APPEND = Script("""#!lua
-- Keys: entries, meta. Arguments: records in the frame, the frame. The offset of the last record.
-- Above everything before, and above the clock in microseconds: if the data was lost, a ledger that
-- outlived it goes on rightly. Above the watermark, should a replica that lags have taken over.
local known = redis.call('HMGET', KEYS[2], 'last', 'committed', 'total')
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local n = tonumber(ARGV[1])
local last = math.max(tonumber(known[1] or 0), tonumber(known[2] or 0), now) + n
local id, total = string.format('%.0f', last), string.format('%.0f', tonumber(known[3] or 0) + n)
redis.call('XADD', KEYS[1], id .. '-0', 'n', ARGV[1], 'total', total, 'frame', ARGV[2])
redis.call('HSET', KEYS[2], 'last', id, 'total', total)
return id
""")

READ = Script("""#!lua flags=no-writes
-- Keys: entries. Arguments: after this offset, records at the most, bytes at the most.
-- Whole frames, as [offset of the last, n, frame, ...], and at the end 1 if there may be more.
local records, bytes, found, from = 0, 0, {}, '(' .. ARGV[1] .. '-0'
while records < tonumber(ARGV[2]) do
  local entry = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1)[1]
  if not entry then found[#found + 1] = 0; return found end
  local n, frame = entry[2][2], entry[2][6]
  bytes = bytes + #frame
  if bytes > tonumber(ARGV[3]) then break end
  records = records + tonumber(n)
  from = '(' .. entry[1]
  found[#found + 1], found[#found + 2], found[#found + 3] = string.match(entry[1], '%d+'), n, frame
end
found[#found + 1] = 1
return found
""")

COMMIT = Script("""#!lua flags=allow-oom
-- Keys: entries, meta. Arguments: the watermark, and one more than that. A frame that holds a
-- record beyond it has a higher id, and stays.
local known = redis.call('HGET', KEYS[2], 'committed')
if tonumber(known or 0) >= tonumber(ARGV[1]) then return 0 end
redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2] .. '-0')
redis.call('HSET', KEYS[2], 'committed', ARGV[1])
return 1
""")

LAG = Script("""#!lua flags=no-writes
-- Keys: entries, meta. How many records lie above the watermark.
local known = redis.call('HMGET', KEYS[2], 'committed', 'total')
local committed = known[1] or '0'
local entry = redis.call('XRANGE', KEYS[1], '(' .. committed .. '-0', '+', 'COUNT', 1)[1]
if not entry then return 0 end
local last = tonumber(string.match(entry[1], '%d+'))
local open = math.min(tonumber(entry[2][2]), last - tonumber(committed))
return tonumber(known[2]) - tonumber(entry[2][4]) + open
""")

SCRIPTS: Sequence[Script] = (APPEND, READ, COMMIT, LAG)


def keys_of(prefix: str, partition: int) -> tuple[str, str]:
    """The stream and the hash of a partition."""
    place = f"{prefix}:log:{{{partition}}}"
    return f"{place}:entries", f"{place}:meta"


def layout_key(prefix: str) -> str:
    """Where the number of partitions is kept."""
    return f"{prefix}:log:layout"
