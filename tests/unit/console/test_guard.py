"""The guard bounds what it lets through, and has words for whatever goes wrong behind it."""

import asyncio
import json
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message
from structlog.testing import capture_logs

from comporta.console.callers import Callers
from comporta.console.guard import UNDER_WAY_MAX, Guard
from comporta.console.idempotency import Once
from comporta.errors import StoreUnavailableError
from comporta.ledger.admin import ApiKey, Scope

KEY = ApiKey("key_1", "ci", Scope.ADMIN, "d", "h", 1, "me")


class Anybody:
    async def known(self, authorization: str, peer: str) -> ApiKey:
        assert (authorization, peer) == ("", "")
        return KEY


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def guard() -> Guard:
    return Guard(cast("Callers", Anybody()), cast("Once", None), deadline_s=0.05)


def request(*parts: bytes, **headers: str) -> Request:
    waiting = [
        {"type": "http.request", "body": part, "more_body": more < len(parts)}
        for more, part in enumerate(parts or (b"",), 1)
    ]

    async def receive() -> Message:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    named = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/x", "headers": named}
    return Request({**scope, "query_string": b"", "client": None}, receive)


async def answer(guard: Guard, given: Request, handle: Any) -> Response:
    return await guard.answer(given, Scope.READ, 10, handle)


@pytest.mark.anyio
async def test_so_many_are_under_way_at_once_and_the_next_is_told_to_come_again(
    guard: Guard,
) -> None:
    free = asyncio.Event()

    async def wait(_request: Request) -> Response:
        await free.wait()
        return Response("done")

    tasks = [asyncio.create_task(answer(guard, request(), wait)) for _n in range(UNDER_WAY_MAX)]
    await asyncio.sleep(0)
    one_more = await answer(guard, request(), wait)
    assert one_more.status_code == 503
    assert int(one_more.headers["retry-after"]) > 0
    free.set()
    assert [one.status_code for one in await asyncio.gather(*tasks)] == [200] * UNDER_WAY_MAX
    assert (await answer(guard, request(), wait)).status_code == 200


@pytest.mark.anyio
async def test_an_operation_that_takes_too_long_is_given_up(guard: Guard) -> None:
    async def forever(_request: Request) -> Response:
        await asyncio.Event().wait()
        return Response()

    late = await answer(guard, request(), forever)
    assert late.status_code == 503
    assert json.loads(bytes(late.body))["type"] == "/problems/busy"


@pytest.mark.anyio
async def test_a_defect_is_logged_under_an_id_that_the_problem_names(guard: Guard) -> None:
    async def broken(_request: Request) -> Response:
        raise RuntimeError("secret inside")

    with capture_logs() as lines:
        failed = await answer(guard, request(), broken)
    document = json.loads(bytes(failed.body))
    assert failed.status_code == 500
    assert document["type"] == "/problems/defect"
    assert document["id"] == next(one["id"] for one in lines if one["event"] == "api.failed")
    assert b"secret inside" not in bytes(failed.body)


@pytest.mark.anyio
async def test_a_store_that_cannot_be_used_names_no_file_to_the_caller(guard: Guard) -> None:
    async def full(_request: Request) -> Response:
        raise StoreUnavailableError("/var/lib/comporta/ledger.db is full")

    failed = await answer(guard, request(), full)
    assert failed.status_code == 503
    assert "retry-after" in failed.headers
    assert b"ledger.db" not in bytes(failed.body)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("given", "status"),
    [
        (request(b"x" * 10), 200),
        (request(b"x" * 11), 413),
        (request(b"x" * 6, b"x" * 4), 200),
        (request(b"x" * 6, b"x" * 5), 413),
        (request(content_length="11"), 413),
        (request(content_length="9" * 5000), 413),
    ],
)
async def test_a_body_is_read_up_to_its_bound(guard: Guard, given: Request, status: int) -> None:
    async def echo(again: Request) -> Response:
        return Response(await again.body())

    told = await answer(guard, given, echo)
    assert told.status_code == status
    if status == 200:
        assert told.body == b"x" * 10


@pytest.mark.anyio
async def test_a_problem_is_in_the_language_that_was_asked_for(guard: Guard) -> None:
    async def broken(_request: Request) -> Response:
        raise StoreUnavailableError("x")

    for wanted in ("pt-BR,pt;q=0.9", "en"):
        told = await answer(guard, request(accept_language=wanted), broken)
        assert told.headers["content-language"] == wanted[:5]
