"""Where a round of `comporta bench` takes place: a gateway and a destination, both new."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from comporta.cli.gateway_process import asked, free_port, gateway
from comporta.errors import ComportaError
from comporta.i18n import _
from comporta.testing.sink import Sink
from comporta.urls import webhook_url
from comporta.vault import new_token

_SHARED_S: Final = 20.0
_POLL_S: Final = 0.05


class Stage(msgspec.Struct, frozen=True):
    """A gateway that is ready, and where to send to."""

    pid: int
    url: str
    data: Path


@asynccontextmanager
async def stage(
    folder: Path, secret: str, workers: int, on_arrival: Callable[[], None]
) -> AsyncIterator[Stage]:
    """A gateway whose workers have shared the partitions.

    Args:
        folder: the gateway's own is made in it.
        secret: Chatwoot's, to sign with.
        workers: how many.
        on_arrival: called for each delivery.

    Raises:
        ComportaError: the gateway does not become ready.
    """
    port, token = free_port(), new_token()
    own = folder / str(port)
    own.mkdir()
    async with Sink(on_arrival=lambda _one: on_arrival()) as sink:
        fleet = own / "fleet.toml"
        fleet.write_text(_fleet(token, secret, sink.url), encoding="utf-8")
        async with gateway(own, fleet, port, workers) as pid:
            await _partitions_shared(port, workers)
            yield Stage(pid, webhook_url(f"http://127.0.0.1:{port}", token), own / "data")


def _fleet(token: str, secret: str, sink_url: str) -> str:
    return (
        f'[[instance]]\nname = "bench"\n[[instance.source]]\nname = "webhook"\n'
        f'kind = "account"\ntoken = "{token}"\nsecrets = ["{secret}"]\n'
        f'[[destination]]\nname = "sink"\nurl = "{sink_url}"\n'
        # Every event shall arrive, also those whose place a newer one could take.
        f'classes = {{ "*" = "ordered" }}\n'
        f'[[route]]\nname = "all"\nto = ["sink"]\n'
    )


async def _partitions_shared(port: int, workers: int) -> None:
    """Wait until each worker has partitions: what is measured is not the start.

    Raises:
        ComportaError: it takes too long.
    """
    ends_at = time.monotonic() + _SHARED_S
    while time.monotonic() < ends_at:
        _head, _end, body = (await asked(port, "/health")).partition(b"\r\n\r\n")
        found = msgspec.json.decode(body) if body else {}
        owned = [row["partitions"] for row in found.get("workers") or ()]
        if len(owned) == workers and all(owned):
            return
        await asyncio.sleep(_POLL_S)
    said = _("The workers did not share the partitions within {seconds} s.")
    raise ComportaError(said.format(seconds=f"{_SHARED_S:.0f}"))
