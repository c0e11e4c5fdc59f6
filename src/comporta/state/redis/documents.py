"""Documents in hashes of Redis that are changed only if nobody else changed them meanwhile.

What the change is, the caller's function says; one Lua script compares and sets. So there is no
lock that a dead worker could hold.
"""

from collections.abc import Callable
from typing import TypeVar

from comporta.clients.redis import RedisServer, Script
from comporta.errors import StoreUnavailableError
from comporta.i18n import _

KEEP_MS = 7 * 86_400_000
"""Whatever nobody writes for so long goes by itself."""
TRIES_MAX = 200
"""Whoever comes too late for a change finds that another one was made: it ends for somebody."""
T = TypeVar("T")
CHANGE = Script("""#!lua
-- Keys: a hash. Arguments: field, what was read there ("": nothing), what shall be there ("":
-- nothing), milliseconds to keep it. What is there now, if it is not what was read.
local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if now ~= ARGV[2] then return {now} end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return {}
""")


async def change(
    server: RedisServer, key: str, field: str, step: Callable[[bytes], tuple[bytes, T]]
) -> T:
    """Read a document, change it, and keep it unless somebody was faster: then again.

    Args:
        server: which knows the script `CHANGE`.
        key: of a hash.
        field: in it.
        step: the document as it was (empty: none) → as it shall be, and an answer.

    Raises:
        StoreUnavailableError: no answer from Redis; or others were always faster.
    """
    document: bytes = await server.one("HGET", key, field) or b""
    for _attempt in range(TRIES_MAX):
        changed, answer = step(document)
        if changed == document:
            return answer
        found = await server.one(*CHANGE.call([key], field, document, changed, KEEP_MS))
        if not found:
            return answer
        document = found[0]
    raise StoreUnavailableError(
        _("Too many workers change {key} in Redis at once. It is tried again.").format(key=key)
    )
