"""Trials on a running gateway, through its admin API: it answers by its own fleet and rules."""

from base64 import b64encode
from typing import Any
from urllib.parse import quote

import msgspec

from comporta.cli.remote_http import Connection
from comporta.domain import ids
from comporta.domain.explaining import Miss, Verdict
from comporta.domain.fleet import Route
from comporta.operating.trials import RequestTried, RoutesTried, Sample


class RemoteTrials:
    """See `comporta.operating.trials.TrialService`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def routes(self, sample: Sample, name: str | None, now_ms: int) -> RoutesTried:
        """Which routes it is for."""
        del now_ms
        asked = _asked(sample) | ({} if name is None else {"route": name})
        found = await self._connection.post("/routes/test", asked)
        verdicts = tuple(_verdict(one) for one in found["routes"])
        return RoutesTried(found["instance"], found["event_type"], verdicts)

    async def request(self, name: str, sample: Sample, now_ms: int) -> RequestTried:
        """What a destination would get."""
        del now_ms
        path = f"/destinations/{quote(name, safe='')}/test"
        return msgspec.convert(await self._connection.post(path, _asked(sample)), RequestTried)


def _asked(sample: Sample) -> dict[str, Any]:
    if sample.event_id is not None:
        return {"event": ids.show("evt", sample.event_id)}
    whose = {"instance": sample.instance} if sample.instance else {}
    return {"body_base64": b64encode(sample.body).decode(), **whose}


def _verdict(one: dict[str, Any]) -> Verdict:
    miss = msgspec.convert(one["miss"], Miss) if one["miss"] else None
    return Verdict(Route("", one["name"], tuple(one["to"])), miss, one["error"])
