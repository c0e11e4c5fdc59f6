"""The evaluator on real stores: alerts are kept, told to a real server, and outlive outages."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.ears import Ears, ears

from comporta.alerting import kept as keeping
from comporta.alerting.answers import Answered
from comporta.alerting.evaluator import ASLEEP_MS, Evaluator, PlanFile
from comporta.alerting.life import CALM_MS, HOLD_MS
from comporta.alerting.looking import Looking, Names
from comporta.alerting.model import Kind
from comporta.alerting.notify.sending import Notifiers
from comporta.alerting.report import Report, read_reports
from comporta.domain.rhythm import HOUR_MS, MINUTE_MS
from comporta.errors import StoreUnavailableError
from comporta.ledger.sqlite.ledger import SqliteLedger
from comporta.ledger.watching import Counted, Slot
from comporta.log.sqlite import SqliteLog
from comporta.state.port import Rejected
from comporta.state.sqlite import SqliteState

NOW_MS = 1_795_500_000_000 // HOUR_MS * HOUR_MS
NAMES = Names({"ins_a": "loja-sp"}, {"dst_crm": "crm"})
FILE = """
group_s = 0
[[notifier]]
name = "ops"
kind = "webhook"
url = "{url}"
"""


class Away:
    """A store that fails every question, or answers none."""

    def __init__(self, store: Any, *, silent: bool = False) -> None:
        self._store, self._silent, self.away = store, silent, False

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if not self.away:
            return value
        if name in {"watching", "keeping"}:
            inner = Away(value, silent=self._silent)
            inner.away = True
            return inner
        return self._fail

    async def _fail(self, *_args: object) -> None:
        if self._silent:
            await asyncio.Event().wait()
        raise StoreUnavailableError("The store is away. Bring it back.")


class Stage:
    """One evaluator, its stores, and who is told."""

    def __init__(self, folder: Path, ledger: Any, state: Any, log: Any, heard: Ears) -> None:
        self.ledger, self.state, self.log = Away(ledger), Away(state), log
        self.real, self.real_state = ledger, state
        self.ears, self.now_ms = heard, NOW_MS
        self.path = folder / "alerts.toml"
        self.path.write_text(FILE.format(url=heard.url))
        self.sent: list[tuple[str, bool]] = []
        self.evaluator = self.another()

    def another(self) -> Evaluator:
        return Evaluator(
            file=PlanFile(self.path),
            looking=Looking(self.log, self.ledger, self.state, lambda: NAMES),
            watching=self.ledger.watching,
            mine=lambda: True,
            sent=lambda name, taken: self.sent.append((name, taken)),
            now_ms=lambda: self.now_ms,
        )

    async def look(self, after_ms: int = 0) -> list[Any]:
        """One look, later; what was heard because of it."""
        self.now_ms += after_ms
        before = len(self.ears.heard)
        async with Notifiers() as notifiers:
            await self.evaluator.round(notifiers)
        return [one.json for one in self.ears.heard[before:]]

    async def fail_attempts(self, count: int = 50, bad: int = 40) -> None:
        start_ms = self.now_ms // 300_000 * 300_000
        await self.real.watching.add_slots(
            [Slot(Counted.ATTEMPTS, "dst_crm", start_ms, count, bad, 10)]
        )


def play(folder: Path, story: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        async with _stores(folder) as (ledger, state, log), ears() as heard:
            await story(Stage(folder, ledger, state, log, heard))

    asyncio.run(run())


@asynccontextmanager
async def _stores(folder: Path) -> AsyncIterator[tuple[SqliteLedger, SqliteState, SqliteLog]]:
    ledger = SqliteLedger(folder / "ledger.db")
    state = SqliteState(folder / "state.db")
    log = SqliteLog(folder / "log.db", 4)
    for store in (ledger, state, log):
        await store.open()
    try:
        yield ledger, state, log
    finally:
        for store in (log, state, ledger):
            await store.close()


def test_what_is_wrong_is_told_kept_and_told_once_by_whoever_looks(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        assert await stage.look() == []
        await stage.fail_attempts()
        told = await stage.look()
        assert [one["name"] for one in told[0]["opened"]] == ["failing:crm"]
        assert told[0]["opened"][0]["text"].startswith("80 % of 50 attempts at crm have failed")
        assert stage.sent == [("ops", True)]
        kept, _version = await keeping.read(stage.real.watching)
        assert [one.name for one in kept.alerts] == ["failing:crm"]
        stage.evaluator = stage.another()  # another process takes over
        assert await stage.look(MINUTE_MS) == []
        assert [one.name for one in stage.evaluator.alerts] == ["failing:crm"]
        over = await stage.look(15 * MINUTE_MS)
        assert [one["name"] for one in over[0]["resolved"]] == ["failing:crm"]

    play(tmp_path, story)


def test_one_that_is_acknowledged_by_command_stays_so_in_the_evaluator(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fail_attempts()
        await stage.look()
        await keeping.acknowledge(stage.real.watching, "failing:crm", "cli:ana", stage.now_ms)
        await stage.fail_attempts()
        await stage.look(MINUTE_MS)
        kept, _version = await keeping.read(stage.real.watching)
        assert kept.alerts[0].acked_by == "cli:ana"
        assert stage.evaluator.alerts[0].acked_by == "cli:ana"

    play(tmp_path, story)


def test_a_ledger_that_is_away_is_told_and_what_happened_meanwhile_is_kept_later(
    tmp_path: Path,
) -> None:
    async def story(stage: Stage) -> None:
        await stage.fail_attempts()
        await stage.look()
        stage.ledger.away = True
        stage.evaluator._watching = stage.ledger.watching
        assert await stage.look(MINUTE_MS) == []
        told = await stage.look(HOLD_MS[Kind.STORE])
        assert [one["name"] for one in told[0]["opened"]] == ["store:ledger"]
        assert "The store is away" in told[0]["opened"][0]["text"]
        # What could not be looked at is not over.
        assert await stage.look(10 * CALM_MS) == []
        stage.ledger.away = False
        stage.evaluator._watching = stage.ledger.watching
        await stage.look(1000)
        over = await stage.look(CALM_MS)
        assert {one["name"] for one in over[0]["resolved"]} == {"store:ledger", "failing:crm"}
        kept, _version = await keeping.read(stage.real.watching)
        assert all(one.resolved_at_ms for one in kept.alerts)
        assert len(kept.alerts) == 2

    play(tmp_path, story)


def test_a_state_that_never_answers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comporta.alerting.looking.DEADLINE_S", 0.05)

    async def story(stage: Stage) -> None:
        stage.state = Away(stage.real_state, silent=True)
        stage.evaluator = stage.another()
        stage.state.away = True
        await stage.look()
        told = await stage.look(HOLD_MS[Kind.STORE])
        assert [one["name"] for one in told[0]["opened"]] == ["store:state"]
        assert "no answer within" in told[0]["opened"][0]["text"]

    play(tmp_path, story)


def test_a_notifier_that_fails_is_told_by_the_other_and_tried_again_later(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        other = '[[notifier]]\nname = "broken"\nkind = "slack"\nurl = "http://127.0.0.1:1/x"\n'
        stage.path.write_text(FILE.format(url=stage.ears.url) + other)
        await stage.fail_attempts()
        assert len(await stage.look()) == 1
        assert ("broken", False) in stage.sent
        told = await stage.look(10_000)
        assert [one["name"] for one in told[0]["opened"]] == ["notifier:broken"]
        assert stage.sent.count(("broken", False)) == 1
        await stage.look(20_000)
        assert stage.sent.count(("broken", False)) == 2
        stage.path.write_text(
            FILE.format(url=stage.ears.url) + other.replace(":1/", f":{_port(stage)}/")
        )
        heard = await stage.look(MINUTE_MS)
        assert any("text" in one and "failing:crm" in one["text"] for one in heard)
        over = await stage.look(CALM_MS + MINUTE_MS)
        assert [one["name"] for one in over[0]["resolved"]] == ["notifier:broken"]

    play(tmp_path, story)


def _port(stage: Stage) -> str:
    return stage.ears.url.rpartition(":")[2]


def test_a_file_that_becomes_wrong_is_told_by_the_last_one(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.look()
        stage.path.write_text("[rules]\nnonsense = 1\n")
        told = await stage.look(1000)
        assert [one["name"] for one in told[0]["opened"]] == ["file"]
        assert "nonsense" in told[0]["opened"][0]["text"]

    play(tmp_path, story)


async def said(stage: Stage, name: str, data: Path, *answered: Answered) -> None:
    """A server says something of itself, again and again, half a minute later each time."""
    now_ms, counts = [stage.now_ms], iter(answered or [Answered()])

    async def ask() -> Answered:
        return next(counts)

    report = Report(stage.real.watching, name, data, ask, lambda: now_ms[0])
    for _time in answered or [Answered()]:
        await report.say()
        now_ms[0] += 30_000


def test_a_server_that_answers_late_is_told_after_a_minute(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await said(stage, "a", tmp_path, Answered(1000, 900), Answered(1300, 903))
        await said(stage, "b", tmp_path, Answered(1000, 900), Answered(1301, 903))  # below 1 %
        await said(stage, "c", tmp_path, Answered(), Answered(2, 2))  # too few
        assert await stage.look(30_000) == []
        (told,) = await stage.look(HOLD_MS[Kind.LATE])
        assert [one["name"] for one in told["opened"]] == ["late:a"]
        assert told["opened"][0]["text"].startswith("3 of 300 webhooks were answered by a")

    play(tmp_path, story)


def test_refused_calls_and_what_servers_say_of_themselves_are_looked_at(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        at_ms = stage.now_ms - 1000
        row = Rejected(at_ms, 401, "no token", "POST", "/webhook", "10.0.0.1", "", (), 3)
        await stage.real_state.reject([row] * 107, 1000)
        rules = "[rules]\ndisk_free_mib = 1000000000\n"
        stage.path.write_text(FILE.format(url=stage.ears.url) + rules)
        await said(stage, "server-1", tmp_path)
        told = await stage.look()
        texts = {one["name"]: one["text"] for one in told[0]["opened"]}
        assert set(texts) == {"refused", "disk:server-1"}
        assert texts["refused"].startswith("107 webhook calls")

    play(tmp_path, story)


def test_a_server_that_says_nothing_any_more_is_left_out(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        for name in ("a", "b"):
            await said(stage, name, tmp_path)
        assert set(await read_reports(stage.real.watching, NOW_MS)) == {"a", "b"}
        assert await read_reports(stage.real.watching, NOW_MS + HOUR_MS) == {}

    play(tmp_path, story)


def test_an_instance_that_is_silent_is_told_but_not_for_the_time_when_nobody_looked(
    tmp_path: Path,
) -> None:
    async def story(stage: Stage) -> None:
        busy = (1 << 60) - 1
        slots = [
            Slot(Counted.EVENTS, "ins_a", at, 500, last_at_ms=at + HOUR_MS - 1, minutes=busy)
            for at in range(NOW_MS - 5 * 7 * 24 * HOUR_MS, NOW_MS, HOUR_MS)
        ]
        await stage.real.watching.add_slots(slots)
        assert await stage.look(9 * MINUTE_MS) == []
        assert await stage.look(ASLEEP_MS - 1000) != []
        stage.evaluator = stage.another()
        await stage.look(HOUR_MS)
        kept, _version = await keeping.read(stage.real.watching)
        assert kept.awake_since_ms == stage.now_ms

    play(tmp_path, story)
