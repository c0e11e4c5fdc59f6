"""The ASGI front of ingest: raw, for this is the path of every event.

It reads the body within its limit, and turns the decision into HTTP: 200 and nothing more, or a
problem document. A refused request is kept in the rejected ring. How long a request may take to
arrive is the server's business: see `comporta.serving`.
"""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from comporta.domain.tracing import trace_id_of
from comporta.i18n import choose
from comporta.ingest import problems
from comporta.ingest.accept import Ingest, RefusedError
from comporta.ingest.admission import Admission
from comporta.ingest.rejected import RejectedRing, masked, masked_path
from comporta.state.port import Rejected
from comporta.telemetry.access import AccessLog
from comporta.telemetry.tally import Tally

RETRY_AFTER_S = 3
DRAIN_BYTES_MAX = 64 * 1024 * 1024
"""How much more of a body that is too large is taken from the wire, and thrown away."""
_INT64_MAX = 2**63 - 1  # what a store can hold; a caller may announce more
_START: dict[str, Any] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-length", b"0")],
}
_BODY: dict[str, Any] = {"type": "http.response.body", "body": b""}


class _TooLargeError(RefusedError):
    """A body grew too large. `more`: some of it is still to come."""

    def __init__(self, last: Message) -> None:
        super().__init__(problems.TOO_LARGE)
        self.more = bool(last.get("more_body", False))


class WebhookEndpoint:
    """`POST /webhook` and `POST /webhook/{token}`.

    Args:
        ingest: decides.
        ring: keeps what was refused.
        tally: counts it.
        admission: gives room to large bodies.
        access: the access lines.
        now_ms: the clock, Unix milliseconds.
        open_: whether this server takes webhooks in at all.
    """

    def __init__(  # noqa: PLR0913  (the composition root gives it all it needs, by name)
        self,
        *,
        ingest: Ingest,
        ring: RejectedRing,
        tally: Tally,
        admission: Admission,
        access: AccessLog,
        now_ms: Callable[[], int],
        open_: bool = True,
    ) -> None:
        self._ingest, self._ring, self._tally, self._now_ms = ingest, ring, tally, now_ms
        self._admission, self._access, self._open = admission, access, open_
        for one in problems.LOSSES:  # alerts watch for a rise, so there has to be something to rise
            tally.requests_refused.add((str(one.status), one.name), 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()

        async def read(limit: int, wanted: bool) -> bytes:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                body: bytes = message.get("body", b"")
                if len(body) > limit:
                    raise _TooLargeError(message)
                return body
            if not wanted:
                return await _pass_over(message, receive, limit)
            async with self._admission.reserve(limit):
                return await _read_rest(message, receive, limit)

        try:
            if not self._open:
                raise RefusedError(problems.MISDIRECTED)  # noqa: TRY301  (as ingest refuses)
            await self._ingest.accept(
                scope["method"], scope["path"], scope["query_string"], scope["headers"], read
            )
        except RefusedError as refusal:
            row = self._keep(scope, refusal)
            if refusal.problem is not problems.INCOMPLETE:
                await _refuse(receive, send, scope, refusal)
            self._line(refusal, row, started)
            return
        await send(_START)
        await send(_BODY)

    def _keep(self, scope: Scope, refusal: RefusedError) -> Rejected:
        problem, reason = refusal.problem, refusal.reason
        self._tally.requests_refused.add((str(problem.status), problem.name))
        client = scope.get("client")
        headers = masked(scope["headers"])
        row = Rejected(
            at_ms=self._now_ms(),
            status=problem.status,
            reason=f"{problem.title}: {reason}" if reason else problem.title,
            method=scope["method"][:16],
            path=masked_path(scope["path"])[:256],
            peer=client[0] if client else "",
            source_id=refusal.caller.source_id if refusal.caller else "",
            headers=headers,
            body_bytes=min(int(dict(headers).get("content-length", "0") or 0), _INT64_MAX),
        )
        self._ring.add(row)
        return row

    def _line(self, refusal: RefusedError, row: Rejected, started: float) -> None:
        caller = refusal.caller
        self._access.refused(
            row.status,
            started,
            reason=refusal.problem.name,
            chatwoot=caller.instance_name if caller else "",
            source_kind=caller.kind.value if caller else "",
            body_bytes=row.body_bytes,
            trace_id=trace_id_of(row.headers),
        )


async def _read_rest(message: Message, receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise RefusedError(problems.INCOMPLETE)
        body += message.get("body", b"")
        if len(body) > limit:
            raise _TooLargeError(message)
        if not message.get("more_body", False):
            return bytes(body)
        message = await receive()


async def _pass_over(message: Message, receive: Receive, limit: int) -> bytes:
    """Read a stranger's body as others are read, but keep none of it."""
    size, mac = 0, sha256()
    while message["type"] != "http.disconnect":
        part = message.get("body", b"")
        mac.update(part)
        size += len(part)
        if size > limit:
            raise _TooLargeError(message)
        if not message.get("more_body", False):
            return mac.digest()
        message = await receive()
    raise RefusedError(problems.INCOMPLETE)


async def _refuse(receive: Receive, send: Send, scope: Scope, refusal: RefusedError) -> None:
    problem = refusal.problem
    wanted = next((v for k, v in scope["headers"] if k == b"accept-language"), b"")
    language = choose(wanted.decode("latin-1"))
    # What is wrong with a store names files of this machine: nothing for a stranger.
    reason = "" if problem in (problems.BUSY, problems.CANNOT_STORE) else refusal.reason
    body = problems.render(problem, language, reason)
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
        case 413:  # what remains of the body is thrown away, and the connection with it
            headers.append((b"connection", b"close"))
        case 429 | 503:
            headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    # One that announces too much is refused before anything of it is read.
    more = refusal.more if isinstance(refusal, _TooLargeError) else problem is problems.TOO_LARGE
    await send({"type": "http.response.body", "body": body, "more_body": more})
    if more:
        await _drain(receive)
        await send(_BODY)


async def _drain(receive: Receive) -> None:
    """Throw away what still comes, for many clients read no answer before they have sent all.

    To close while bytes arrive resets the connection, and the answer is lost with it. How long it
    may take is bounded like any body: see `comporta.serving`.
    """
    size, more = 0, True
    while more and size < DRAIN_BYTES_MAX:
        message = await receive()
        size += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
