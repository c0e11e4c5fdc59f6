"""Asks the stores for the numbers that rules are about, each with a deadline of its own.

One that does not answer is a number too: the rest is judged all the same.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from comporta.alerting.config import Plan
from comporta.alerting.report import read_reports
from comporta.alerting.rules import Attempts, Numbers
from comporta.alerting.silences import Silences
from comporta.domain.growth import growth_of
from comporta.domain.rhythm import Silence
from comporta.errors import StoreError
from comporta.i18n import _
from comporta.ledger.port import Ledger
from comporta.ledger.watching import SLOT_MS, Counted
from comporta.log.port import Log
from comporta.state.port import State

DEADLINE_S = 5.0
REFUSED_WITHIN_MS = 300_000
REFUSED_MAX = 1000
ATTEMPTS_WITHIN_MS = 600_000
LAG_MAX = 1000
"""With more in the log nobody knows yet who is silent."""
T = TypeVar("T")
Part = dict[str, Any]
"""Some of the fields of `Numbers`."""


class Names(msgspec.Struct, frozen=True):
    """Of the fleet, id → name."""

    instances: Mapping[str, str]
    destinations: Mapping[str, str]


class Looking:
    """What is looked at.

    Args:
        log, ledger, state: opened.
        names: of the fleet now.
    """

    def __init__(self, log: Log, ledger: Ledger, state: State, names: Callable[[], Names]) -> None:
        self._log, self._ledger, self._state, self._names = log, ledger, state, names
        self._silences = Silences(ledger.watching)
        self._away: dict[str, str] = {}

    async def numbers(self, plan: Plan, awake_since_ms: int, now_ms: int) -> Numbers:
        """What is at hand now; see `Silences.look` for `awake_since_ms`."""
        self._away, names = {}, self._names()
        parts = await asyncio.gather(
            self._of_log(), self._of_ledger(names, now_ms), self._of_state(plan, names, now_ms)
        )
        found = {name: value for part in parts for name, value in part.items()}
        silences = await self._silences_of(found["lag"], plan, awake_since_ms, now_ms)
        return Numbers(now_ms, away=dict(self._away), silences=silences, **found)

    async def _of_log(self) -> Part:
        lag = await self._ask("log", self._log.lag)
        if (error := self._log.health().error) and "log" not in self._away:
            self._away["log"] = error
        return {"lag": lag}

    async def _of_ledger(self, names: Names, now_ms: int) -> Part:
        watching = self._ledger.watching
        totals = await self._ask("ledger", self._ledger.totals)
        samples = await self._ask("ledger", self._ledger.keeping.samples)
        servers = await self._ask("ledger", lambda: read_reports(watching, now_ms))
        attempts = await self._ask("ledger", lambda: self._attempts(names, now_ms))
        growth = growth_of(samples) if samples else None
        left = growth.days_left if growth is not None else None
        return {
            "oldest_open_at_ms": None if totals is None else totals.oldest_open_at_ms or 0,
            "dead": None if totals is None else totals.dead,
            "days_left": math.inf if left is None else left,
            "servers": servers,
            "attempts": attempts,
        }

    async def _of_state(self, plan: Plan, names: Names, now_ms: int) -> Part:
        breakers = await self._ask("state", self._state.breakers)
        refused = await self._ask("state", lambda: self._refused(plan, now_ms))
        known = names.destinations
        if breakers is None:
            return {"breakers": None, "refused": refused}
        shut = {known[i]: (b.since_ms, b.reason) for i, b in breakers.items() if i in known}
        return {"breakers": shut, "refused": refused}

    async def _ask(self, store: str, question: Callable[[], Awaitable[T]]) -> T | None:
        """Its answer; None if it does not come, and none is asked for then in this look."""
        if store in self._away:
            return None
        try:
            async with asyncio.timeout(DEADLINE_S):
                return await question()
        except StoreError as error:
            self._away[store] = str(error)
        except TimeoutError:
            said = _("no answer within {seconds:g} s.")
            self._away[store] = said.format(seconds=DEADLINE_S)
        return None

    async def _refused(self, plan: Plan, now_ms: int) -> int:
        async def count(limit: int) -> int:
            rows = await self._state.rejected(limit)
            return sum(now_ms - one.at_ms <= REFUSED_WITHIN_MS for one in rows)

        enough = min(REFUSED_MAX, max(1, plan.file.rules.refused_calls))
        found = await count(enough)
        return found if found < enough else await count(REFUSED_MAX)

    async def _attempts(self, names: Names, now_ms: int) -> dict[str, Attempts]:
        slot_ms = SLOT_MS[Counted.ATTEMPTS]
        since_ms = (now_ms - ATTEMPTS_WITHIN_MS) // slot_ms * slot_ms
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for one in await self._ledger.watching.slots(Counted.ATTEMPTS, since_ms):
            for place, value in enumerate((one.count, one.bad, one.spent_ms)):
                sums[one.name][place] += value
        known = names.destinations
        return {known[id_]: Attempts(*values) for id_, values in sums.items() if id_ in known}

    async def _silences_of(
        self, lag: int | None, plan: Plan, awake_since_ms: int, now_ms: int
    ) -> dict[str, Silence] | None:
        if not plan.file.rules.silence:
            return {}
        if lag is None or lag > LAG_MAX:
            return None
        instances = self._names().instances
        return await self._ask(
            "ledger", lambda: self._silences.look(instances, plan, awake_since_ms, now_ms)
        )
