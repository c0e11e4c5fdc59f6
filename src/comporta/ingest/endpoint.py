"""The ASGI front of ingest: raw, for this is the path of every event.

It reads the body within its bounds, and turns an answer into HTTP: 200 and nothing more, or a
problem document. A refused request is kept in the rejected ring.
"""

import asyncio
from typing import Any

from starlette.types import Receive, Scope, Send

from comporta.i18n import choose
from comporta.ingest import problems
from comporta.ingest.accept import (
    RETRY_AFTER_S,
    Answer,
    BodyTooLargeError,
    BodyTooSlowError,
    CallerLeftError,
    Ingest,
)
from comporta.ingest.rejected import RejectedRing, masked, masked_path
from comporta.state.port import Rejected
from comporta.telemetry.tally import Tally

_START: dict[str, Any] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-length", b"0")],
}
_BODY: dict[str, Any] = {"type": "http.response.body", "body": b""}


class WebhookEndpoint:
    """`POST /webhook` and `POST /webhook/{token}`.

    Args:
        ingest: decides.
        ring: keeps what was refused.
        tally: counts it.
        body_bytes_max: limit of a body.
        body_timeout_s: for the whole body to arrive, seconds.
        now_ms: the clock, Unix milliseconds.
    """

    def __init__(  # noqa: PLR0913  (the composition root gives it all it needs, by name)
        self,
        *,
        ingest: Ingest,
        ring: RejectedRing,
        tally: Tally,
        body_bytes_max: int,
        body_timeout_s: float,
        now_ms: Any,
    ) -> None:
        self._ingest, self._ring, self._tally, self._now_ms = ingest, ring, tally, now_ms
        self._body_bytes_max, self._body_timeout_s = body_bytes_max, body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        size = 0

        async def read() -> bytes:
            nonlocal size
            body = await self._read(receive)
            size = len(body)
            return body

        try:
            answer = await self._ingest.accept(
                scope["method"], scope["path"], scope["query_string"], scope["headers"], read
            )
        except CallerLeftError:
            return
        if answer.problem is None:
            await send(_START)
            await send(_BODY)
            return
        self._keep(scope, answer, size)
        await self._refuse(send, answer)

    async def _read(self, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(self._body_timeout_s):
                message = await receive()
                if message["type"] == "http.request" and not message.get("more_body", False):
                    return self._bounded(message.get("body", b""))
                return await self._read_rest(message, receive)
        except TimeoutError as error:
            raise BodyTooSlowError from error

    def _bounded(self, body: bytes) -> bytes:
        if len(body) > self._body_bytes_max:
            raise BodyTooLargeError
        return body

    async def _read_rest(self, message: Any, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise CallerLeftError
            body += message.get("body", b"")
            if len(body) > self._body_bytes_max:
                raise BodyTooLargeError
            if not message.get("more_body", False):
                return bytes(body)
            message = await receive()

    def _keep(self, scope: Scope, answer: Answer, size: int) -> None:
        problem = answer.problem
        if problem is None:
            return
        client = scope.get("client")
        name = problem.type.rpartition("/")[2]
        self._tally.requests_refused.add((str(problem.status), name))
        self._ring.add(
            Rejected(
                at_ms=self._now_ms(),
                status=problem.status,
                reason=f"{problem.title}: {answer.reason}" if answer.reason else problem.title,
                method=scope["method"][:16],
                path=masked_path(scope["path"])[:256],
                peer=client[0] if client else "",
                source_id=answer.source_id,
                headers=masked(scope["headers"]),
                body_bytes=size,
            )
        )

    async def _refuse(self, send: Send, answer: Answer) -> None:
        problem = answer.problem or problems.CANNOT_STORE
        language = choose(answer.language)
        body = problems.render(problem, language, answer.reason)
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"content-language", language.replace("_", "-").encode()),
        ]
        match problem.status:
            case 401:
                headers.append((b"www-authenticate", b'Bearer realm="comporta", Basic'))
            case 405:
                headers.append((b"allow", b"POST"))
            case 408 | 413:
                headers.append((b"connection", b"close"))
            case 429 | 503:
                headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
        await send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
