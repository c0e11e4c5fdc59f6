"""The decision about one webhook call: who is it, is it genuine, what is it, is it stored.

`accept` takes what any HTTP front can give (method, path, query, headers, and a way to read the body)
and returns an answer; the ASGI endpoint is one such front. Nothing here asks the ledger.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from comporta.chatwoot.peek import NotAnObjectError, peek
from comporta.chatwoot.signature import verify
from comporta.domain.event import Record
from comporta.domain.fleet import SourceKind
from comporta.domain.partitioning import partition_of
from comporta.errors import StoreError
from comporta.ingest import problems
from comporta.ingest.directory import Caller, Directory
from comporta.ingest.problems import Problem
from comporta.ingest.request import TOKEN_CHARS_MAX, Request
from comporta.log.port import Log
from comporta.telemetry.tally import Tally

ROOM_WAIT_S = 4.0
"""Chatwoot gives up after 5 s: until then there is hope for room."""
ROOM_POLL_S = 0.01
RETRY_AFTER_S = 3
_NOBODY = (b"nobody's secret, for the time it takes",)
RawHeaders = Iterable[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What to tell the caller. Without a problem: accepted."""

    problem: Problem | None = None
    reason: str = ""
    source_id: str = ""
    language: str = ""


class BodyTooLargeError(Exception):
    """Raised by the reader of a body that goes beyond the limit."""


class BodyTooSlowError(Exception):
    """Raised by the reader of a body that does not arrive in time."""


class CallerLeftError(Exception):
    """Raised by the reader of a body whose sender has hung up."""


ACCEPTED = Answer()


class Limits(msgspec.Struct, frozen=True):
    """The bounds of ingest; see the settings of the same names."""

    body_bytes_max: int
    pending_bytes_max: int
    signature_tolerance_s: float


class Ingest:
    """The ingest of one worker.

    Args:
        log: where events go.
        directory: the callers at the time of the call.
        limits: its bounds.
        tally: what is counted.
    """

    def __init__(
        self, log: Log, directory: Callable[[], Directory], limits: Limits, tally: Tally
    ) -> None:
        self._log, self._directory, self._limits, self._tally = log, directory, limits, tally

    async def accept(
        self,
        method: str,
        path: str,
        query: bytes,
        headers: RawHeaders,
        read: Callable[[], Awaitable[bytes]],
    ) -> Answer:
        """Decide about one call; when it says accepted, the event is durable.

        Args:
            method: "POST" is the only good one.
            path: `/webhook`, `/webhook/TOKEN`, with or without a slash at the end.
            query: the raw query string.
            headers: raw, names in lower case.
            read: reads the body; raises one of the errors above.
        """
        started = time.perf_counter()
        if method != "POST":
            return Answer(problems.BAD_METHOD)
        request = Request(headers)
        token = request.token(path, query)
        caller = self._directory().find(token) if 0 < len(token) <= TOKEN_CHARS_MAX else None
        source_id = caller.source_id if caller else ""

        def refuse(problem: Problem, reason: str = "") -> Answer:
            return Answer(problem, reason, source_id, request.accept_language)

        if (request.content_length or 0) > self._limits.body_bytes_max:
            return refuse(problems.TOO_LARGE)
        try:
            body = await read()
        except BodyTooLargeError:
            return refuse(problems.TOO_LARGE)
        except BodyTooSlowError:
            return refuse(problems.TOO_SLOW)
        now_s = time.time()
        problem, reason = self._check(request, token, caller, body, now_s)
        if problem is not None or caller is None:
            return refuse(problem or problems.UNKNOWN_TOKEN, reason)
        try:
            seen = peek(body)
        except NotAnObjectError as error:
            return refuse(problems.BAD_JSON, str(error))
        record = Record(
            partition=partition_of(caller.instance_id, seen.subject, self._log.partitions),
            accepted_at_ms=int(now_s * 1000),
            instance_id=caller.instance_id,
            source_id=caller.source_id,
            event_type=seen.event_type,
            account_id=seen.account_id,
            subject=seen.subject,
            verified=bool(caller.secrets),
            headers=request.kept,
            body=body,
        )
        overload = problems.BUSY if caller.kind is SourceKind.AGENT_BOT else problems.CANNOT_STORE
        if self._full and not await self._room(caller.kind):
            return refuse(overload)
        try:
            await self._log.append(record)
        except StoreError as error:
            return refuse(overload, str(error))
        self._count(caller, seen.event_type, len(body), time.perf_counter() - started)
        return ACCEPTED

    def _check(
        self, request: Request, token: str, caller: Caller | None, body: bytes, now_s: float
    ) -> tuple[Problem | None, str]:
        """Whether the call is who it says it is. An unknown token costs the time of a known one."""
        if not token:
            return problems.NO_TOKEN, ""
        secrets = caller.secrets if caller else _NOBODY
        if secrets:
            fault = verify(
                secrets,
                request.timestamp,
                request.signature,
                body,
                now_s,
                self._limits.signature_tolerance_s,
            )
            if caller is None:
                return problems.UNKNOWN_TOKEN, ""
            if fault is not None:
                return problems.BAD_SIGNATURE, fault.value
        if caller is not None and request.instance not in (
            "",
            caller.instance_name,
            caller.instance_id,
        ):
            return problems.WRONG_INSTANCE, ""
        return (None, "") if request.is_json else (problems.NOT_JSON_TYPE, "")

    @property
    def _full(self) -> bool:
        return self._log.pending_bytes > self._limits.pending_bytes_max

    async def _room(self, kind: SourceKind) -> bool:
        """Wait until there is room. A bot is sent away at once: Chatwoot sends it again."""
        if kind is SourceKind.AGENT_BOT:
            return False
        deadline = time.monotonic() + ROOM_WAIT_S
        while self._full:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(ROOM_POLL_S)
        return True

    def _count(self, caller: Caller, event_type: str, size: int, seconds: float) -> None:
        self._tally.events_accepted.add((caller.instance_name, event_type))
        self._tally.accepted_bytes.add((caller.instance_name,), size)
        self._tally.ack_seconds.observe(seconds)
