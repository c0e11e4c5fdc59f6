"""The evaluator: looks at the numbers, lets alerts open and end, and tells people of them.

One process of all servers does it, by a duty. It needs nothing of what it watches but to be
answered: a store that does not answer within its deadline is a finding, and alerts live in memory
until the ledger takes them. While the state does not answer, whoever had the duty last goes on.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from msgspec.structs import replace

from comporta.alerting import kept as keeping
from comporta.alerting import life
from comporta.alerting.config import Notifier, Plan, load
from comporta.alerting.kept import Kept
from comporta.alerting.looking import Looking
from comporta.alerting.model import Alert
from comporta.alerting.notify.message import DEADLINE_S, NotifyError
from comporta.alerting.notify.sending import Notifiers
from comporta.alerting.rules import findings, unknown
from comporta.errors import ConfigError, StoreError
from comporta.ledger.watching import SLOT_MS, Counted, Watching

PERIOD_S = 10.0
STORE_S = 5.0
ASLEEP_MS = 180_000
"""If nobody has looked for so long, nothing was running."""
SAVE_EVERY_MS = 60_000
WAIT_MS, WAIT_MS_MAX = 30_000, 900_000
"""After a notifier has failed; doubling."""
FORGET_EVERY_MS = 3_600_000
FORGET_MS = {Counted.EVENTS: 9 * 7 * 86_400_000, Counted.ATTEMPTS: 2 * 3_600_000}
_log = structlog.get_logger(__name__)


class _Trouble:
    """A notifier that fails: why, and when it is tried again."""

    def __init__(self) -> None:
        self.why = ""
        self.wait_ms = WAIT_MS
        self.next_at_ms = 0


class PlanFile:
    """The file of alerts, read again when it has changed; one that is wrong changes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: object = None
        self.plan = load(None)
        self.problem = ""

    def look(self) -> None:
        """Read it if it is another than before. Not for the event loop."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.plan, self.problem = load(self._path), ""
        except ConfigError as error:
            self.problem = str(error)
            _log.error("alerts.file_refused", error=self.problem)


class Evaluator:
    """See the module.

    Args:
        file: the file of alerts.
        looking: what is looked at.
        watching: the ledger's part, where alerts are kept.
        mine: whether this process is the one.
        sent: told of each message: the notifier, and whether it was taken.
        now_ms: the clock, Unix milliseconds.
    """

    def __init__(  # noqa: PLR0913  (the composition root gives it all it needs, by name)
        self,
        *,
        file: PlanFile,
        looking: Looking,
        watching: Watching,
        mine: Callable[[], bool],
        sent: Callable[[str, bool], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._file, self._looking, self._watching = file, looking, watching
        self._mine, self._sent, self._now_ms = mine, sent, now_ms
        self._kept, self._version = Kept(), 0
        self._saved = Kept()
        self._known = False
        self._troubles: dict[str, _Trouble] = {}
        self._forgot_at_ms = 0

    @property
    def alerts(self) -> Sequence[Alert]:
        """Those that are open, if this process is the one."""
        return [one for one in self._kept.alerts if one.is_open] if self._known else []

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        async with Notifiers() as notifiers:
            while True:
                await asyncio.sleep(PERIOD_S)
                if self._mine():
                    await self.round(notifiers)
                else:
                    self._kept, self._known = Kept(), False

    async def round(self, notifiers: Notifiers) -> None:
        """Look once, and tell what is to be told."""
        await asyncio.to_thread(self._file.look)
        now_ms = self._now_ms()
        await self._recall()
        self._wake(now_ms)
        plan = self._file.plan
        numbers = await self._looking.numbers(plan, self._kept.awake_since_ms, now_ms)
        failing = {name: one.why for name, one in self._troubles.items() if one.why}
        numbers = replace(numbers, notifiers=failing, file=self._file.problem)
        wrong = findings(numbers, plan.file.rules)
        self._change(life.step(self._kept.alerts, wrong, unknown(numbers), now_ms))
        await self._tell_all(notifiers, plan)
        await self._save(now_ms)

    async def _recall(self) -> None:
        """What is kept, with what we could not keep yet."""
        try:
            async with asyncio.timeout(STORE_S):
                stored, version = await keeping.read(self._watching)
        except (StoreError, TimeoutError):
            return  # it is a finding of this very look
        if not self._known:
            live = {one.name for one in stored.alerts if not one.resolved_at_ms}
            ours = [one for one in self._kept.alerts if one.name not in live]
            self._kept = replace(stored, alerts=(*stored.alerts, *ours))
        elif version != self._version:
            merged = life.merged(stored.alerts, self._kept.alerts)
            self._kept = replace(self._kept, alerts=tuple(merged))
        self._known, self._version, self._saved = True, version, stored

    def _wake(self, now_ms: int) -> None:
        looked_at_ms, awake_since_ms = self._kept.looked_at_ms, self._kept.awake_since_ms
        if not 0 <= now_ms - looked_at_ms < ASLEEP_MS:
            awake_since_ms = now_ms if looked_at_ms else 0
        self._kept = replace(self._kept, looked_at_ms=now_ms, awake_since_ms=awake_since_ms)

    def _change(self, alerts: Sequence[Alert]) -> None:
        before = {(one.name, one.seen_at_ms): one for one in self._kept.alerts}
        self._kept = replace(self._kept, alerts=tuple(alerts))
        for one in alerts:
            old = before.get((one.name, one.seen_at_ms))
            if one.is_open and not (old and old.is_open):
                _log.warning("alert.opened", alert=one.name, severity=one.finding.severity)
            elif one.resolved_at_ms and old and old.is_open:
                _log.info("alert.resolved", alert=one.name)

    async def _tell_all(self, notifiers: Notifiers, plan: Plan) -> None:
        names = {one.name for one in plan.file.notifier}
        self._troubles = {name: one for name, one in self._troubles.items() if name in names}
        await asyncio.gather(*(self._tell(notifiers, plan, one) for one in plan.file.notifier))

    async def _tell(self, notifiers: Notifiers, plan: Plan, to: Notifier) -> None:
        now_ms = self._now_ms()
        trouble = self._troubles.get(to.name)
        if trouble is not None and now_ms < trouble.next_at_ms:
            return
        group_ms, repeat_ms = plan.file.group_s * 1000, plan.file.repeat_h * 3_600_000
        cadence = life.Cadence(int(group_ms), int(repeat_ms), plan.quiet)
        notice = life.due(self._kept.alerts, to.name, cadence, now_ms)
        if notice is None:
            return
        try:
            async with asyncio.timeout(DEADLINE_S + 1):
                await notifiers.tell(to, plan, notice, now_ms)
        except (NotifyError, TimeoutError) as error:
            self._failed(to.name, str(error), now_ms)
            return
        self._troubles.pop(to.name, None)
        self._sent(to.name, True)
        _log.info("notifier.told", notifier=to.name, alerts=len(notice.alerts))
        # Others were told meanwhile: it is the present alerts that are marked.
        marked = life.told(self._kept.alerts, to.name, notice, now_ms)
        self._kept = replace(self._kept, alerts=tuple(marked))

    def _failed(self, name: str, why: str, now_ms: int) -> None:
        trouble = self._troubles.setdefault(name, _Trouble())
        trouble.why, trouble.next_at_ms = why or "timeout", now_ms + trouble.wait_ms
        trouble.wait_ms = min(WAIT_MS_MAX, trouble.wait_ms * 2)
        self._sent(name, False)
        _log.error("notifier.failed", notifier=name, error=trouble.why)

    async def _save(self, now_ms: int) -> None:
        """Keep what has changed; what the ledger does not take stays in memory."""
        try:
            async with asyncio.timeout(STORE_S):
                if _differs(self._kept, self._saved, now_ms):
                    await self._write()
                if now_ms - self._forgot_at_ms >= FORGET_EVERY_MS:
                    await self._forget(now_ms)
        except (StoreError, TimeoutError) as error:
            _log.error("alerts.not_kept", error=str(error))

    async def _write(self) -> None:
        if await keeping.write(self._watching, self._kept, self._version):
            self._version, self._saved = self._version + 1, self._kept
        # Otherwise somebody has acknowledged one: the next look reads it, and keeps the rest.

    async def _forget(self, now_ms: int) -> None:
        for kind, kept_ms in FORGET_MS.items():
            before_ms = (now_ms - kept_ms) // SLOT_MS[kind] * SLOT_MS[kind]
            await self._watching.forget_slots(kind, before_ms)
        self._forgot_at_ms = now_ms


def _differs(kept: Kept, saved: Kept, now_ms: int) -> bool:
    """Whether it is worth a write: moments at which something was found again are not."""
    return (
        now_ms - saved.looked_at_ms >= SAVE_EVERY_MS
        or kept.awake_since_ms != saved.awake_since_ms
        or [_essence(one) for one in kept.alerts] != [_essence(one) for one in saved.alerts]
    )


def _essence(one: Alert) -> tuple[object, ...]:
    times = (one.opened_at_ms, one.acked_at_ms, one.resolved_at_ms)
    return (one.name, *times, one.told, one.ended)


def _stamp(path: Path | None) -> object:
    if path is None:
        return "none"
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return (found.st_mtime_ns, found.st_size, found.st_ino)
