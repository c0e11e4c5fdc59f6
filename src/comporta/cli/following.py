"""Finds out which events are new, by asking the ledger again and again.

Ids rise within a partition, not over all of them, so a look back over a short window is repeated
and what was seen in it is remembered. The memory is bounded by that window.
"""

import msgspec

from comporta.cli.desk import LedgerDesk
from comporta.domain import ids
from comporta.ledger.port import EventFilter, EventRow

LOOK_BACK_MS = 10_000
PAGE = 500
PAGES_MAX = 20
POLL_S = 0.5


class Follower:
    """Events that match a filter and were recorded since the last question.

    Args:
        ledger: where to ask.
        which: the filter; its `since_ms` is where to start.
    """

    def __init__(self, ledger: LedgerDesk, which: EventFilter) -> None:
        self._ledger = ledger
        self._which = which
        self._since_ms = which.since_ms or 0
        self._seen: set[int] = set()

    async def fresh(self) -> list[EventRow]:
        """What is new, oldest first."""
        found: list[EventRow] = []
        which = msgspec.structs.replace(self._which, since_ms=self._since_ms, limit=PAGE)
        for _page in range(PAGES_MAX):
            rows = await self._ledger.events(which)
            found += [row for row in rows if row.id not in self._seen]
            if len(rows) < PAGE:
                break
            which = msgspec.structs.replace(which, before_id=rows[-1].id)
        found.sort(key=lambda row: row.id)
        self._remember(found)
        return found

    def _remember(self, found: list[EventRow]) -> None:
        if not found:
            return
        self._seen |= {row.id for row in found}
        newest_ms = max(row.accepted_at_ms for row in found)
        self._since_ms = max(self._since_ms, newest_ms - LOOK_BACK_MS)
        oldest = ids.first_at(self._since_ms - LOOK_BACK_MS)
        self._seen = {one for one in self._seen if one >= oldest}
