"""What stands before every operation: bounds, the caller's key and scope, and words for failure.

A request passes here in this order: room, key, scope, body, repetition, operation. Whatever goes
wrong on the way becomes a problem document; nothing else is ever answered.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message

from comporta.console import problems
from comporta.console.callers import Callers
from comporta.console.idempotency import Once
from comporta.console.problems import Fault, RefusedError
from comporta.domain.ids import fresh
from comporta.errors import ComportaError
from comporta.i18n import choose, speaking
from comporta.ledger.admin import Scope

UNDER_WAY_MAX = 8
"""In each worker; intake goes first, and the next one is told to come again."""
DEADLINE_S = 20.0
BODY_BYTES_MAX = 1024 * 1024
_FAULTS_SHOWN = 20
_log = structlog.get_logger(__name__)
Handle = Callable[[Request], Awaitable[Response]]


class Guard:
    """Lets requests through to operations.

    Args:
        callers: finds who calls.
        once: carries out what may be repeated.
        deadline_s: for a whole request, seconds.
    """

    def __init__(self, callers: Callers, once: Once, deadline_s: float = DEADLINE_S) -> None:
        self._callers, self._once, self._deadline_s = callers, once, deadline_s
        self._under_way = 0

    async def answer(
        self, request: Request, needed: Scope, body_bytes_max: int, handle: Handle
    ) -> Response:
        """Answer one request.

        Args:
            request: as it came.
            needed: the scope that its operation asks for.
            body_bytes_max: the largest body.
            handle: the operation.
        """
        with speaking(choose(request.headers.get("accept-language", ""))):
            try:
                async with self._room(), asyncio.timeout(self._deadline_s):
                    return await self._let_through(request, needed, body_bytes_max, handle)
            except (RefusedError, ComportaError, HTTPException, RequestValidationError) as error:
                return answer_to(error)
            except TimeoutError:
                return problems.answer(RefusedError(problems.BUSY))
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            except Exception:  # noqa: BLE001  (the API's supervisor: recorded, and told as a defect)
                defect = RefusedError(problems.DEFECT, id=fresh("err"))
                _log.exception("api.failed", id=defect.id, path=request.url.path)
                return problems.answer(defect)

    @asynccontextmanager
    async def _room(self) -> AsyncIterator[None]:
        if self._under_way >= UNDER_WAY_MAX:
            raise RefusedError(problems.BUSY)
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def _let_through(
        self, request: Request, needed: Scope, body_bytes_max: int, handle: Handle
    ) -> Response:
        peer = request.client.host if request.client else ""
        caller = await self._callers.known(request.headers.get("authorization", ""), peer)
        if not caller.scope.covers(needed):
            raise RefusedError(problems.SCOPE)
        body = await _read(request, body_bytes_max)
        again = Request(request.scope, _whole(body))
        again.state.caller = caller

        async def carry_out() -> Response:
            response = await handle(again)
            response.headers.setdefault("cache-control", "no-store")
            return response

        if request.method == "POST" and needed is not Scope.READ:  # a question may be asked again
            return await self._once.run(request, body, caller, carry_out)
        return await carry_out()


def answer_to(error: Exception) -> Response:
    """A foreseen error as a problem document."""
    match error:
        case RefusedError():
            return problems.answer(error)
        case ComportaError():
            refusal = problems.refusal_of(error)
            if refusal.problem.status >= 500:  # noqa: PLR2004
                _log.warning("api.store_failed", error=str(error))
            return problems.answer(refusal)
        case RequestValidationError():
            faults = tuple(_fault(one) for one in error.errors()[:_FAULTS_SHOWN])
            return problems.answer(RefusedError(problems.INVALID, errors=faults))
        case HTTPException(status_code=404):
            return problems.answer(RefusedError(problems.NO_PAGE))
        case HTTPException(status_code=405):
            return problems.answer(RefusedError(problems.METHOD), error.headers)
        case _:
            return problems.answer(RefusedError(problems.INVALID))


def _fault(error: dict[str, Any]) -> Fault:
    """Pydantic's words, without the value: it may be a secret."""
    where, *path = error["loc"] or ("body",)
    name = problems.pointer(tuple(path)) if where == "body" else ".".join(map(str, path))
    return Fault(name, str(error["msg"]))


async def _read(request: Request, bytes_max: int) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and (len(announced) > 18 or int(announced) > bytes_max):  # noqa: PLR2004
        raise RefusedError(problems.TOO_LARGE)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > bytes_max:
            raise RefusedError(problems.TOO_LARGE)
    return bytes(body)


def _whole(body: bytes) -> Callable[[], Awaitable[Message]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
