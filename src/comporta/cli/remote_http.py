"""Speaks with the admin API of a running gateway: one connection, problems become our errors.

The key goes nowhere else: redirects are not followed, and it stands in no message.
"""

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any

import aiohttp

from comporta.domain.fleet import Scalar
from comporta.errors import (
    ComportaError,
    ConfigError,
    ConflictError,
    FleetError,
    LimitError,
    NotFoundError,
    RemoteError,
    StoreUnavailableError,
)
from comporta.i18n import _, current
from comporta.urls import url_problem

PREFIX = "/api/v1"
TRIES = 3
"""Of a gateway that says it is busy; POST has an Idempotency-Key, so nothing is done twice."""
ANSWER_BYTES_MAX = 64 * 1024 * 1024
_CONNECT_S, _ANSWER_S = 10.0, 30.0
_BUSY = 503
_ERRORS: dict[str, type[ComportaError]] = {
    "not-found": NotFoundError,
    "conflict": ConflictError,
    "under-way": ConflictError,
    "limit": LimitError,
    "config": ConfigError,
    "invalid": ConfigError,
    "busy": StoreUnavailableError,
    "store-unavailable": StoreUnavailableError,
}
"""A problem's name → what it would be here; any other is a RemoteError."""
Params = Mapping[str, Scalar | None]


class Connection:
    """A running gateway, as the command line sees it.

    Args:
        base: its URL, without `/api/v1`.
        key: an API key.

    Raises, from every question:
        RemoteError: the gateway does not answer, or does not know the key.
        ComportaError: what the gateway said, as if it had been said here.
    """

    def __init__(self, base: str, key: str) -> None:
        if problem := url_problem(base):
            raise ConfigError(_("The gateway's URL cannot be used: {why}").format(why=problem))
        if not key or not key.isascii() or not key.isprintable():
            said = _(
                "An API key is needed to talk to {url}: set COMPORTA_API_KEY, or give"
                " --api-key-file. Make a key on the gateway's machine: comporta api-key create"
            )
            raise ConfigError(said.format(url=base))
        self.base = base.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers={
                "authorization": f"Bearer {key}",
                "accept-language": current().replace("_", "-"),
            },
            timeout=aiohttp.ClientTimeout(total=_ANSWER_S, sock_connect=_CONNECT_S),
        )

    async def close(self) -> None:
        """Let go."""
        await self._session.close()

    async def get(self, path: str, **params: Scalar | None) -> Any:
        """The JSON at a path below `/api/v1`."""
        return await self._json("GET", path, params)

    async def get_bytes(self, path: str) -> bytes:
        """What stands at a path, byte for byte."""
        return await self._ask("GET", path, {})

    async def post(self, path: str, body: object) -> Any:
        """Ask for a change, once even if it has to be asked for again."""
        return await self._json("POST", path, {}, body)

    async def patch(self, path: str, body: object) -> Any:
        """Ask for what is given to be changed."""
        return await self._json("PATCH", path, {}, body)

    async def delete(self, path: str) -> Any:
        """Ask for something to be removed."""
        return await self._json("DELETE", path, {})

    async def _json(self, method: str, path: str, params: Params, body: object = None) -> Any:
        answer = await self._ask(method, path, params, body)
        try:
            document = json.loads(answer)
        except ValueError:
            document = None
        if not isinstance(document, dict):  # some page of another server, say
            raise _stranger(200, self.base)
        return document

    async def _ask(self, method: str, path: str, params: Params, body: object = None) -> bytes:
        once = {"idempotency-key": str(uuid.uuid4())} if method == "POST" else {}
        for left in reversed(range(TRIES)):
            status, wait_s, answer = await self._send(method, path, params, body, once)
            if status == _BUSY and left:
                await asyncio.sleep(min(wait_s, 5.0))
            else:
                break
        if status // 100 != 2:  # noqa: PLR2004  (success)
            raise _error(status, answer, self.base)
        return answer

    async def _send(
        self, method: str, path: str, params: Params, body: object, headers: Mapping[str, str]
    ) -> tuple[int, float, bytes]:
        query = {name: str(value) for name, value in params.items() if value is not None}
        try:
            async with self._session.request(
                method,
                f"{self.base}{PREFIX}{path}",
                params=query,
                json=body,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                after = answer.headers.get("retry-after", "1")
                wait_s = float(after) if after.isdecimal() else 1.0
                return answer.status, wait_s, await _whole(answer.content)
        except (aiohttp.ClientError, TimeoutError) as error:
            said = _("The gateway at {url} does not answer: {reason}. Is it running?")
            reason = str(error) or _("no answer in time")
            raise RemoteError(said.format(url=self.base, reason=reason)) from None


async def _whole(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for part in content.iter_any():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise RemoteError(_("The gateway's answer is far too large."))
    return bytes(body)


def _error(status: int, body: bytes, base: str) -> ComportaError:
    try:
        document = json.loads(body)
        kind, title = str(document["type"]), str(document["title"])
    except (ValueError, TypeError, KeyError):
        return _stranger(status, base)
    errors = [one for one in document.get("errors", ()) if isinstance(one, dict)]
    if kind == FleetError.problem:
        path = _path(str(errors[0].get("pointer", ""))) if errors else ()
        return FleetError(str(document.get("reason", title)), path=path)
    faults = "; ".join(f"{one.get('pointer')}: {one.get('reason')}" for one in errors)
    words = str(document.get("reason") or faults or f"{title}. {document.get('detail', '')}")
    return _ERRORS.get(kind.rpartition("/")[2], RemoteError)(words)


def _stranger(status: int, base: str) -> RemoteError:
    said = _("{url} answers with HTTP {status}, not as a gateway does. Is the URL right?")
    return RemoteError(said.format(url=base, status=status))


def _path(pointer: str) -> tuple[str | int, ...]:
    """A JSON Pointer as keys and indexes."""
    parts = [one.replace("~1", "/").replace("~0", "~") for one in pointer.split("/")[1:]]
    return tuple(int(one) if one.isdecimal() else one for one in parts)
