"""The gateway with its telemetry taken out: the difference to the whole one is what it costs.

For the bench only, as an application for uvicorn; an operator has no such choice.
"""

import asyncio
from typing import Any

from comporta import stores
from comporta.ingest.accept import Ingest
from comporta.telemetry.metrics import Metrics


def _nothing(*_arguments: Any, **_named: Any) -> None:
    """Counts nothing."""


async def _rest(_metrics: Metrics) -> None:
    await asyncio.Event().wait()


for owner, name, instead in (
    (Ingest, "_count", _nothing),
    (Ingest, "_tell", _nothing),
    (Metrics, "run", _rest),
    (stores, "_observe_log", lambda _tally: _nothing),
):
    assert hasattr(owner, name), "there is nothing to take out"
    setattr(owner, name, instead)

from comporta.asgi import app  # noqa: E402  (after everything is taken out)

__all__ = ["app"]
