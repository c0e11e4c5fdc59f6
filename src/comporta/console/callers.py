"""Who is calling: API keys, compared in constant time; revoked ones are refused within a second.

All live keys are kept in memory for half a second, so an unknown key costs the ledger nothing.
"""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable

import structlog

from comporta.console import problems
from comporta.console.problems import RefusedError
from comporta.errors import StoreError
from comporta.ledger.admin import AdminLedger, ApiKey
from comporta.vault import digest_token

KEPT_S = 0.5
TOUCH_MS = 60_000
FAILURES_MAX = 20
FAILURES_S = 60.0
PEERS_MAX = 1024
KEY_CHARS_MAX = 128
_log = structlog.get_logger(__name__)


class Failures:
    """How often each peer came without a valid key, lately. The peers kept are bounded.

    Args:
        clock: seconds, never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._peers: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def add(self, peer: str) -> bool:
        """One more; whether that is too many."""
        now = self._clock()
        began, count = self._peers.pop(peer, (now, 0))
        if now - began >= FAILURES_S:
            began, count = now, 0
        self._peers[peer] = (began, count + 1)
        if len(self._peers) > PEERS_MAX:
            self._peers.popitem(last=False)
        return count >= FAILURES_MAX


class Callers:
    """Finds the key of a request.

    Args:
        ledger: has the keys.
        now_ms: Unix milliseconds.
        clock: seconds, never set back.
    """

    def __init__(
        self,
        ledger: AdminLedger,
        now_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._now_ms, self._clock = ledger, now_ms, clock
        self._failures = Failures(clock)
        self._live: list[ApiKey] = []
        self._read_at: float | None = None
        self._touched: dict[str, int] = {}

    async def known(self, authorization: str, peer: str) -> ApiKey:
        """The key that an `Authorization` header shows.

        Raises:
            RefusedError: there is none, or it is not live.
            StoreUnavailableError: the keys cannot be read.
        """
        scheme, _space, text = authorization.partition(" ")
        text = text.strip()
        is_key = scheme.lower() == "bearer" and 0 < len(text) <= KEY_CHARS_MAX
        key = await self._find(digest_token(text)) if is_key else None
        if key is None:
            # A valid key always passes: whoever shares an address with a stranger is not shut out.
            too_many = self._failures.add(peer)
            raise RefusedError(problems.TOO_MANY if too_many else problems.NO_KEY)
        await self._touch(key)
        return key

    def forget(self) -> None:
        """Read the keys anew at the next request, for they were changed here."""
        self._read_at = None

    async def _find(self, digest: str) -> ApiKey | None:
        now = self._clock()
        if self._read_at is None or now - self._read_at >= KEPT_S:
            self._live = [one for one in await self._ledger.api_keys() if not one.revoked_at_ms]
            self._read_at = now
        found = None
        for one in self._live:  # to the end, so that time tells nothing
            if hmac.compare_digest(one.digest, digest):
                found = one
        return found

    async def _touch(self, key: ApiKey) -> None:
        now_ms = self._now_ms()
        if now_ms - max(key.last_used_at_ms, self._touched.get(key.id, 0)) < TOUCH_MS:
            return
        live = {one.id for one in self._live}
        self._touched = {one: at for one, at in self._touched.items() if one in live}
        self._touched[key.id] = now_ms
        try:
            await self._ledger.touch_api_key(key.id, now_ms)
        except StoreError as error:  # a full disk must not keep people from looking
            _log.warning("api_key.use_not_noted", key_id=key.id, error=str(error))
