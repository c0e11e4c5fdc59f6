import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.synchronize import Semaphore
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from comporta.domain.fleet import SourceKind
from comporta.errors import StoreUnavailableError
from comporta.telemetry import metric_defs as defs
from comporta.telemetry import metrics as module
from comporta.telemetry.metrics import Metrics, Reading, prepare, snapshot
from comporta.telemetry.shared import Numbers, SharedFolder, add, identity, lives
from comporta.telemetry.tally import Tally

ACCEPTED = defs.EVENTS_ACCEPTED.name
MORTAL = frozenset({defs.PARTITIONS_OWNED.name})


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def render(metrics: Metrics, accept: str = "") -> bytes:
    return asyncio.run(metrics.render(accept))[0]


def value(text: bytes, name: str, **labels: str) -> float:
    return samples(text)[name, tuple(sorted(labels.items()))]


def test_what_is_counted_is_what_is_scraped() -> None:
    tally = Tally()
    tally.events_accepted.add(("loja-sp", SourceKind.ACCOUNT, "message_created"), 3)
    tally.requests_refused.add(("404", "unknown_token"))
    for seconds in (0.0004, 0.003, 0.003, 60.0):
        tally.ack_seconds.observe(seconds)
    tally.partitions_owned.set(8)
    text = render(Metrics(tally))
    assert (
        value(
            text,
            "comporta_events_accepted_total",
            chatwoot="loja-sp",
            source_kind="account",
            event_type="message_created",
        )
        == 3
    )
    assert value(text, "comporta_requests_refused_total", status="404", reason="unknown_token") == 1
    assert value(text, "comporta_ack_seconds_bucket", le="0.005") == 3
    assert value(text, "comporta_ack_seconds_bucket", le="+Inf") == 4
    assert value(text, "comporta_ack_seconds_count") == 4
    assert value(text, "comporta_ack_seconds_sum") == pytest.approx(60.0064)
    assert value(text, "comporta_partitions_owned") == 8
    assert value(text, "comporta_log_commits_total") == 0


def test_every_metric_is_announced_with_its_meaning() -> None:
    async def readings() -> Mapping[defs.MetricDef, Reading]:
        asked = [one for one in defs.METRICS if one.kind is defs.Kind.READING]
        return {one: {("a",): 7.0} if one.labels else 7.0 for one in asked}

    text = render(Metrics(Tally(), readings=readings)).decode()
    for one in defs.METRICS:
        assert f"# HELP {one.name} {one.help}\n" in text
    assert "comporta_log_lag_entries 7.0" in text


def test_a_store_that_fails_costs_its_readings_and_nothing_else() -> None:
    async def readings() -> Mapping[defs.MetricDef, float]:
        raise StoreUnavailableError("the disk is full")

    text = render(Metrics(Tally(), readings=readings))
    assert b"comporta_log_lag_entries" not in text
    assert b"comporta_log_commits_total 0.0" in text


def test_a_store_that_hangs_does_not_hang_the_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    async def readings() -> Mapping[defs.MetricDef, float]:
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(module, "READINGS_DEADLINE_S", 0.01)
    assert b"comporta_log_commits_total" in render(Metrics(Tally(), readings=readings))


def _worker(folder: str, times: int, counted: Semaphore, never: Semaphore) -> None:
    shared = prepare(Path(folder), os.getppid())
    shared.open()
    tally = Tally()
    tally.events_accepted.add(("loja", "account", "t"), times)
    tally.ack_seconds.observe(0.003)
    tally.partitions_owned.set(times)
    Metrics(tally, shared).flush()
    counted.release()
    never.acquire()


def test_counts_of_killed_workers_stay_and_their_gauges_go(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    counted, never = context.Semaphore(0), context.Semaphore(0)
    workers = [
        context.Process(target=_worker, args=(str(tmp_path), n, counted, never))
        for n in (1, 2, 4, 8)
    ]
    for worker in workers:
        worker.start()
    for _ in workers:
        assert counted.acquire(timeout=30), "a worker did not start"
    # The parent looks through a folder of the same server, as a fifth worker would.
    mine = SharedFolder(tmp_path, identity(os.getpid()), "me-0", MORTAL)
    tally = Tally()
    tally.events_accepted.add(("loja", "account", "t"), 16)

    def scrape() -> tuple[float, float, float]:
        text = render(Metrics(tally, mine))
        return (
            value(text, ACCEPTED, chatwoot="loja", source_kind="account", event_type="t"),
            value(text, "comporta_ack_seconds_count"),
            value(text, "comporta_partitions_owned"),
        )

    try:
        assert scrape() == (31, 4, 15)
        assert workers[0].pid
        os.kill(workers[0].pid, signal.SIGKILL)
        workers[0].join()
        assert scrape() == (31, 4, 14)
        assert scrape() == (31, 4, 14), "a second look must not count a dead worker twice"
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    assert scrape() == (31, 4, 0)
    assert not list(tmp_path.rglob("*.worker")), "files of dead workers are merged and removed"


def test_a_crash_between_merging_and_removing_counts_nothing_twice(tmp_path: Path) -> None:
    folder = SharedFolder(tmp_path, "server", "me-0", MORTAL)
    folder.open()
    dead = SharedFolder(tmp_path, "server", "999999999-1", MORTAL)
    dead.publish({"n": [((), [5.0])]})
    file = tmp_path / "server" / "999999999-1.worker"
    content = file.read_bytes()
    assert folder.others() == {"n": [((), [5.0])]}
    file.write_bytes(content)  # as if the process had died before removing it
    assert folder.others() == {"n": [((), [5.0])]}


def test_gauges_become_one_by_their_highest_or_latest_value_and_outlive_their_worker(
    tmp_path: Path,
) -> None:
    mine = SharedFolder(tmp_path, "server", "me-0", MORTAL)
    mine.open()
    for worker, last_s, offset_s in (("999999999-1", 50.0, 9.0), (identity(1), 70.0, -3.0)):
        tally = Tally()
        tally.last_event.set(last_s, ("loja",))
        tally.clock_offset.set(offset_s, last_s, ("loja",))
        tally.partitions_owned.set(5)
        Metrics(tally, SharedFolder(tmp_path, "server", worker, MORTAL)).flush()
    tally = Tally()
    tally.last_event.set(60.0, ("loja",))
    tally.clock_offset.set(4.0, 60.0, ("loja",))
    for _ in range(2):
        text = render(Metrics(tally, mine))
        assert value(text, defs.LAST_EVENT.name, chatwoot="loja") == 70
        assert value(text, defs.CLOCK_OFFSET.name, chatwoot="loja") == -3
        assert value(text, defs.PARTITIONS_OWNED.name) == 5, "of the one that lives"


def test_a_reading_shows_no_more_values_than_its_label_may_have() -> None:
    most = defs.LABELS["destination"]

    async def readings() -> Mapping[defs.MetricDef, Reading]:
        return {defs.BREAKER_STATE: {(f"dst-{n:05}",): float(n) for n in range(most + 7)}}

    found = samples(render(Metrics(Tally(), readings=readings)))
    shown = {labels: at for (name, labels), at in found.items() if name == defs.BREAKER_STATE.name}
    assert len(shown) == most + 1
    assert shown[("destination", defs.OTHER),] == most + 6


def test_gauges_that_are_looked_up_are_as_they_are_at_the_scrape() -> None:
    tally = Tally()
    metrics = Metrics(tally, look=lambda: tally.queue_depth.set(7, ("outcomes",)))
    assert value(render(metrics), defs.QUEUE_DEPTH.name, queue="outcomes") == 7


def test_folders_of_servers_that_are_gone_are_removed(tmp_path: Path) -> None:
    (tmp_path / "999999999-1").mkdir()
    (tmp_path / f"{os.getpid()}-1").mkdir()  # our pid, but another start: it was reused
    other = tmp_path / identity(1)
    other.mkdir()
    SharedFolder(tmp_path, identity(os.getpid()), "me-0", MORTAL).open()
    assert sorted(tmp_path.iterdir()) == sorted([other, tmp_path / identity(os.getpid())])


def test_a_process_lives_until_it_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    name = identity(process.pid)
    assert lives(name)
    process.communicate(b"\n", timeout=30)
    assert not lives(name)
    assert not lives("999999999-5")
    assert not lives("lost+found")


def test_a_full_disk_costs_the_sharing_and_never_the_worker(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    metrics = Metrics(Tally(), SharedFolder(blocked, "s", "w", MORTAL))

    async def live_and_render() -> bytes:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(metrics.run())
            text, _media_type = await metrics.render()
            task.cancel()
        return text

    assert b"comporta_log_commits_total 0.0" in asyncio.run(live_and_render())


class Watched(SharedFolder):
    """Says when it has published for the first time."""

    def watch(self) -> None:
        self.loop, self.event = asyncio.get_running_loop(), asyncio.Event()

    def publish(self, numbers: Numbers) -> None:
        super().publish(numbers)
        self.loop.call_soon_threadsafe(self.event.set)


def test_the_last_counts_are_published_when_the_server_stops(tmp_path: Path) -> None:
    shared = Watched(tmp_path, "s", "w-1", MORTAL)
    tally = Tally()

    async def live() -> None:
        async with asyncio.TaskGroup() as group:
            shared.watch()
            task = group.create_task(Metrics(tally, shared).run())
            await shared.event.wait()
            tally.log_commits.add(amount=9)
            task.cancel()

    asyncio.run(live())
    published = msgspec.msgpack.decode((tmp_path / "s" / "w-1.worker").read_bytes(), type=Numbers)
    assert published == snapshot(tally)


SERIES = st.dictionaries(
    st.tuples(st.sampled_from("abc")),
    st.lists(st.integers(0, 99).map(float), min_size=2, max_size=2),
).map(lambda found: list(found.items()))
NUMBERS = st.dictionaries(st.sampled_from(["m", "n"]), SERIES)


@given(st.lists(NUMBERS, max_size=4))
def test_sums_do_not_depend_on_the_order_of_workers(parts: list[Numbers]) -> None:
    forwards: Numbers = {}
    backwards: Numbers = {}
    for part in parts:
        add(forwards, part)
    for part in reversed(parts):
        add(backwards, part)
    assert {k: dict(v) for k, v in forwards.items()} == {k: dict(v) for k, v in backwards.items()}
    every = [values for part in parts for series in part.values() for _, values in series]
    total = [values for series in forwards.values() for _, values in series]
    assert sum(map(sum, every)) == sum(map(sum, total))
