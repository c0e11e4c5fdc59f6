"""The decision about one webhook call: who is it, is it genuine, what is it, is it stored.

`accept` takes what any HTTP front can give (method, path, query, headers, a way to read the body)
and returns an answer; the ASGI endpoint is one such front. Nothing here asks the ledger.
"""

import time
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from comporta.chatwoot.peek import NotAnObjectError, peek
from comporta.chatwoot.signature import SignatureFault, verify
from comporta.domain.event import Record
from comporta.domain.fleet import SourceKind
from comporta.domain.partitioning import partition_of
from comporta.domain.tracing import trace_id_of
from comporta.errors import StoreError
from comporta.ingest import problems
from comporta.ingest.admission import Admission
from comporta.ingest.directory import Caller, Directory
from comporta.ingest.problems import Problem
from comporta.ingest.request import TOKEN_CHARS_MAX, Request
from comporta.ingest.traced import accepted
from comporta.log.port import Log
from comporta.telemetry.access import AccessLog
from comporta.telemetry.spans import Begun, Spans
from comporta.telemetry.tally import Tally

_NOBODY = (b"nobody's secret, for the time it takes",)
Answer = Callable[[bool], None]
RawHeaders = Iterable[tuple[bytes, bytes]]
ReadBody = Callable[[int, bool], Awaitable[bytes]]
"""Reads a body of at most so many bytes; False: only to take as long, for it is not wanted."""


class RefusedError(Exception):
    """The call is refused, and why. Raised by the steps of `accept`, and by a reader of bodies."""

    def __init__(self, problem: Problem, reason: str = "") -> None:
        super().__init__(problem.title)
        self.problem, self.reason = problem, reason
        self.caller: Caller | None = None
        """Who it is, if that could be told."""


class Limits(msgspec.Struct, frozen=True):
    """The bounds of ingest; see the settings of the same names."""

    body_bytes_max: int
    signature_tolerance_s: float


class Ingest:
    """The ingest of one worker.

    Args:
        log: where events go.
        directory: the callers at the time of the call.
        admission: how much may wait.
        limits: its bounds.
        tally: what is counted.
        access: the access lines.
        spans: where traced events go; None: nothing is traced.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (the composition root gives it all it needs)
        self,
        log: Log,
        directory: Callable[[], Directory],
        admission: Admission,
        limits: Limits,
        tally: Tally,
        access: AccessLog,
        spans: Spans | None = None,
    ) -> None:
        self._log, self._directory, self._admission = log, directory, admission
        self._limits, self._tally, self._access, self._spans = limits, tally, access, spans

    async def accept(
        self, method: str, path: str, query: bytes, headers: RawHeaders, read: ReadBody
    ) -> None:
        """Take one call in; when this returns, the event is durable.

        Args:
            method: "POST" is the only good one.
            path: `/webhook`, `/webhook/TOKEN`, with or without a slash at the end.
            query: the raw query string.
            headers: raw, names in lower case.
            read: reads the body; raises RefusedError for one that is too large.

        Raises:
            RefusedError: nothing is stored, as far as can be told.
        """
        started = time.perf_counter()
        if method != "POST":
            raise RefusedError(problems.BAD_METHOD)
        request = Request(headers)
        token = request.token(path, query)
        caller = self._directory().find(token) if 0 < len(token) <= TOKEN_CHARS_MAX else None
        try:
            length = request.content_length or self._limits.body_bytes_max
            if length > self._limits.body_bytes_max:
                raise RefusedError(problems.TOO_LARGE)  # noqa: TRY301  (what comes next reads it)
            # The server holds a body to its announced length: so much room is enough for it.
            body = await read(length, caller is not None)
            now_s = time.time()
            caller = self._check(request, token, caller, body, now_s)
            begun = self._spans.begin(request.kept) if self._spans else None
            record = self._record(request, caller, body, now_s, begun)
            await self._store(record, caller)
        except RefusedError as refusal:
            refusal.caller = caller
            raise
        self._count(caller, record, started)
        self._tell(caller, record, started, begun)

    def take(
        self, path: str, query: bytes, headers: RawHeaders, body: bytes, answer: Answer
    ) -> bool:
        """The short way of `accept`, for a POST whose body is whole: no waiting, no coroutine.

        Args:
            path: as for `accept`.
            query: the same.
            headers: the same.
            body: whole.
            answer: called once, later: True when the event is durable, False if it is not.

        Returns:
            False: not taken, and `answer` is not called; `accept` says why.
        """
        started = time.perf_counter()
        request = Request(headers)
        token = request.token(path, query)
        caller = self._directory().find(token) if 0 < len(token) <= TOKEN_CHARS_MAX else None
        if caller is None or self._admission.full or len(body) > self._limits.body_bytes_max:
            return False
        now_s = time.time()
        try:
            self._check(request, token, caller, body, now_s)
            begun = self._spans.begin(request.kept) if self._spans else None
            record = self._record(request, caller, body, now_s, begun)
        except RefusedError:
            return False
        self._log.hand_over(record, _Receipt(self, caller, record, started, begun, answer))
        return True

    def _count(self, caller: Caller, record: Record, started: float) -> None:
        tally, name, size = self._tally, (caller.instance_name,), len(record.body)
        tally.events_accepted.add((caller.instance_name, caller.kind, record.event_type))
        tally.accepted_bytes.add(name, size)
        tally.body_bytes.observe(size)
        tally.last_event.set(record.accepted_at_ms / 1000, name)
        tally.ack_seconds.observe(time.perf_counter() - started)

    def _tell(self, caller: Caller, record: Record, started: float, begun: Begun | None) -> None:
        """Say more of an accepted event, if it is one of those that were chosen for it."""
        if self._spans is not None and begun is not None:
            accepted(self._spans, caller, record, started, begun)
        if self._access.due():
            self._access.accepted(
                started,
                chatwoot=caller.instance_name,
                source_kind=caller.kind.value,
                event_type=record.event_type,
                body_bytes=len(record.body),
                trace_id=trace_id_of(record.headers),
            )

    def _check(
        self, request: Request, token: str, caller: Caller | None, body: bytes, now_s: float
    ) -> Caller:
        """Who it is, if it is who it says. An unknown token costs the time of a wrong signature."""
        if not token:
            raise RefusedError(problems.NO_TOKEN)
        secrets = caller.secrets if caller else _NOBODY
        if secrets:
            timestamp = request.header(b"x-chatwoot-timestamp")
            fault = verify(
                secrets,
                timestamp=timestamp,
                signature=request.header(b"x-chatwoot-signature"),
                body=body,
                now_s=now_s,
                tolerance_s=self._limits.signature_tolerance_s,
            )
            if caller is not None and fault is SignatureFault.TOO_OLD:
                # It is Chatwoot's own: dispatch tells the others' clocks, but never sees this.
                self._tally.clock_offset.set(now_s - int(timestamp), now_s, (caller.instance_name,))
            if caller is not None and fault is not None:
                raise RefusedError(problems.BAD_SIGNATURE, fault.value)
        if caller is None:
            raise RefusedError(problems.UNKNOWN_TOKEN)
        instance = request.header(b"x-chatwoot-instance-id")
        if instance and instance not in (caller.instance_name, caller.instance_id):
            raise RefusedError(problems.WRONG_INSTANCE)
        if not request.is_json:
            raise RefusedError(problems.NOT_JSON_TYPE)
        return caller

    def _record(
        self, request: Request, caller: Caller, body: bytes, now_s: float, begun: Begun | None
    ) -> Record:
        try:
            seen = peek(body)
        except NotAnObjectError as error:
            raise RefusedError(problems.BAD_JSON, str(error)) from error
        return Record(
            partition=partition_of(caller.instance_id, seen.subject, self._log.partitions),
            accepted_at_ms=int(now_s * 1000),
            instance_id=caller.instance_id,
            source_id=caller.source_id,
            event_type=seen.event_type,
            account_id=seen.account_id,
            subject=seen.subject,
            verified=bool(caller.secrets),
            headers=begun.marked(request.kept) if begun else request.kept,
            body=body,
        )

    async def _store(self, record: Record, caller: Caller) -> None:
        """Append; where that fails, answer so that Chatwoot sends again what it can send again."""
        is_bot = caller.kind is SourceKind.AGENT_BOT
        try:
            if self._admission.full and (is_bot or not await self._admission.room()):
                raise RefusedError(problems.BUSY if is_bot else problems.CANNOT_STORE)
            await self._log.append(record)
        except StoreError as error:
            problem = problems.BUSY if is_bot else problems.CANNOT_STORE
            raise RefusedError(problem, str(error)) from error


class _Receipt:
    """Turns what the log says of a record into an answer; see `comporta.log.port.Receipt`."""

    __slots__ = ("_answer", "_begun", "_caller", "_ingest", "_record", "_started")

    def __init__(  # noqa: PLR0913, PLR0917  (all that is known of a call; made for each)
        self,
        ingest: Ingest,
        caller: Caller,
        record: Record,
        started: float,
        begun: Begun | None,
        answer: Answer,
    ) -> None:
        self._ingest, self._caller, self._record = ingest, caller, record
        self._started, self._begun, self._answer = started, begun, answer

    def done(self) -> bool:
        """Nobody takes the wish back."""
        return False

    def set_result(self, _result: object) -> None:
        """It is durable."""
        self._ingest._count(self._caller, self._record, self._started)  # noqa: SLF001  (its own)
        self._answer(True)
        self._ingest._tell(self._caller, self._record, self._started, self._begun)  # noqa: SLF001

    def set_exception(self, _error: BaseException) -> None:
        """It is not stored."""
        self._answer(False)
