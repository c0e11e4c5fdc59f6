"""`comporta bench`: what this machine can do, measured within a minute, for `comporta plan`."""

import asyncio
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from comporta.cli.bench_file import save_figures
from comporta.cli.bench_run import Times, measure
from comporta.cli.command import command
from comporta.cli.desk import Desk
from comporta.cli.machine import this_machine
from comporta.cli.progress import bar
from comporta.cli.summaries import Lines, listed
from comporta.deploy.figures import Figures
from comporta.deploy.guide import workers_of
from comporta.errors import ComportaError
from comporta.i18n import _, plural
from comporta.testing.loop import run

FREE_BYTES_MIN = 4 * 1024**3
TIMES = Times()
SLOW_MS = 20.0
_TICK_S = 0.25


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, here=True)(bench)


def bench(
    desk: Desk,
    *,
    save: Annotated[bool, typer.Option("--save", help=_("Keep it, for: comporta plan"))] = False,
) -> None:
    """Measure what this machine can do.

    A gateway of its own, what sends to it and what it delivers to run for a minute at most, on the
    disk of the data folder, whose contents are not touched. It takes all CPUs and two gigabytes:
    not beside a gateway at work.
    """
    place = _place(desk.settings.data)
    with _folder(place) as folder:
        figures = run(_measured(desk, folder))
    kept = save_figures(figures) if save else None
    desk.screen.result(msgspec.to_builtins(figures), _in_words(figures, place))
    if kept is not None:
        desk.screen.note(_("Kept in {file}.").format(file=kept))


def _place(data: Path) -> Path:
    """The data folder, or what there is of the way to it: the same disk.

    Raises:
        ComportaError: there is too little room.
    """
    place = next(one for one in (data.absolute(), *data.absolute().parents) if one.is_dir())
    if shutil.disk_usage(place).free < FREE_BYTES_MIN:
        said = _("The disk of {folder} has less than {gib} GiB free. Make room, then measure.")
        raise ComportaError(said.format(folder=place, gib=FREE_BYTES_MIN // 1024**3))
    return place


@contextmanager
def _folder(place: Path) -> Iterator[Path]:
    """A folder in `place`, for as long as it takes.

    Raises:
        ComportaError: none can be made there.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix=".comporta-bench-", dir=place)
    except OSError as error:
        said = _("Nothing can be written in {folder}: {reason}. Run as its owner.")
        raise ComportaError(said.format(folder=place, reason=error.strerror)) from None
    with made as folder:
        yield Path(folder)


async def _measured(desk: Desk, folder: Path) -> Figures:
    _cancelled_by_sigterm()
    machine = this_machine()
    total_s = TIMES.total_s(workers_of(machine.cpus))
    said = _("Measuring; it takes about {seconds} s and all CPUs …")
    desk.screen.note(said.format(seconds=f"{total_s:.0f}"))
    stages: deque[str] = deque([""], maxlen=1)
    with bar(desk.screen, total_s) as show:
        async with asyncio.TaskGroup() as group:
            ticker = group.create_task(_tick(show, stages))
            try:
                async with asyncio.timeout(TIMES.most_s):
                    return await measure(folder, machine, desk.now_ms(), TIMES, stages.append)
            except TimeoutError:
                said = _(
                    "Not done within {seconds} s: this machine is too busy to be measured. "
                    "Try when it is quieter."
                )
                raise ComportaError(said.format(seconds=f"{TIMES.most_s:.0f}")) from None
            finally:
                ticker.cancel()


def _cancelled_by_sigterm() -> None:
    """As by Ctrl-C: else the gateway would be left behind."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _tick(show: Callable[[float, str], None], stages: deque[str]) -> None:
    began_at = time.monotonic()
    while True:
        show(time.monotonic() - began_at, stages[-1])
        await asyncio.sleep(_TICK_S)


def _in_words(found: Figures, place: Path) -> str:
    machine = found.machine
    count = found.workers
    rate = _("{rate} events a second")
    workers = plural("Taken in, {count} worker", "Taken in, {count} workers", count)
    lines: Lines = [
        (_("Machine"), f"{machine.cpus} × {machine.cpu}, {machine.memory_gib:g} GiB"),
        (_("Disk"), f"{place}, fsync {found.fsync_ms:.2f} ms"),
        (_("Taken in, 1 worker"), rate.format(rate=f"{found.new_one_worker_per_s:.0f}")),
        (workers.format(count=count), rate.format(rate=f"{found.new_per_s:.0f}")),
        (_("Delivered, from a backlog"), rate.format(rate=f"{found.deliveries_per_s:.0f}")),
        (_("In and out at once"), rate.format(rate=f"{found.sustained_per_s:.0f}")),
        (_("CPU an event: intake"), f"{found.intake_cpu_us:.0f} µs"),
        (_("CPU an event: dispatch"), f"{found.dispatch_cpu_us:.0f} µs"),
        (_("Stored an event"), _stored(found)),
        (_("Memory a worker"), f"{found.worker_memory_mib:.0f} MiB"),
    ]
    words = _(
        "Each event came over a connection of its own, signed, as a Chatwoot sends it. What sent "
        "and received shared this machine, and took {senders} µs of CPU an event beside the "
        "gateway's {own} µs: so this is the least that the machine can do."
    )
    own = found.intake_cpu_us + found.dispatch_cpu_us
    note = words.format(senders=f"{found.senders_cpu_us:.0f}", own=f"{own:.0f}")
    return "\n\n".join([listed(lines), note, *_slow_disk(found)])


def _slow_disk(found: Figures) -> list[str]:
    if found.fsync_ms < SLOW_MS:
        return []
    words = _(
        "The disk is slow: each answer waits at least {wait} ms for it. Chatwoot waits for five "
        "seconds, and holds one of its few threads as long."
    )
    return [words.format(wait=f"{found.fsync_ms:.0f}")]


def _stored(found: Figures) -> str:
    words = _("{stored} bytes, {body} of them its body")
    return words.format(stored=f"{found.stored_bytes:.0f}", body=f"{found.body_bytes:.0f}")
