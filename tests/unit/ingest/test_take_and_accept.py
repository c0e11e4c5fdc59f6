"""The two ways into ingest agree: what the short way takes, the long way would have taken as well.

And whatever bytes a stranger sends, the long way has an answer to them.
"""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from comporta.chatwoot.signature import sign
from comporta.domain.event import Record
from comporta.domain.fleet import Fleet, Instance, Secret, Source, SourceKind, Token
from comporta.errors import StoreUnavailableError
from comporta.ingest import problems
from comporta.ingest.accept import Ingest, Limits, RefusedError
from comporta.ingest.admission import Admission
from comporta.ingest.directory import Directory
from comporta.log.port import Log, Receipt
from comporta.telemetry.access import AccessLog
from comporta.telemetry.tally import Tally
from comporta.vault import digest_token

BODY_MAX = 400
ROOM = 1_000
KINDS = {"conta": SourceKind.ACCOUNT, "caixa": SourceKind.API_INBOX, "robo": SourceKind.AGENT_BOT}


class PaperLog:
    """Writes down what is appended; confirms, or fails, when told to."""

    partitions = 4

    def __init__(self, error: Exception | None = None, pending_bytes: int = 0) -> None:
        self.error, self.pending_bytes = error, pending_bytes
        self.records: list[Record] = []
        self.receipts: list[Receipt] = []

    async def append(self, record: Record) -> object:
        if self.error:
            raise self.error
        self.records.append(record)
        return None

    def hand_over(self, record: Record, receipt: Receipt) -> None:
        self.records.append(record)
        self.receipts.append(receipt)


def fleet() -> Fleet:
    sources = [
        Source(f"src_{name}", name, kind, (Token(digest_token(f"token-{name}")),))
        for name, kind in KINDS.items()
    ]
    signed = (Token(digest_token("token-assinada")), Token(digest_token("tóken")))
    secrets = (Secret("one"), Secret("two"))
    sources.append(Source("src_s", "assinada", SourceKind.ACCOUNT, signed, secrets))
    return Fleet(instances=(Instance("ins_1", "loja-sp", sources=tuple(sources)),))


DIRECTORY = Directory(fleet(), lambda secret: secret.sealed)


def ingest(log: PaperLog, tally: Tally | None = None) -> Ingest:
    admission = Admission(ROOM, lambda: log.pending_bytes)
    limits, access = Limits(BODY_MAX, 300), AccessLog(0)
    return Ingest(cast("Log", log), lambda: DIRECTORY, admission, limits, tally or Tally(), access)


class Call(msgspec.Struct, frozen=True):
    """A webhook call."""

    path: str = "/webhook/token-conta"
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b'{"event":"message_created","account":{"id":3}}'


def reader(body: bytes) -> Callable[[int, bool], Awaitable[bytes]]:
    async def read(limit: int, _wanted: bool) -> bytes:
        if len(body) > limit:
            raise RefusedError(problems.TOO_LARGE)
        return body

    return read


def accept(call: Call, log: PaperLog) -> RefusedError | None:
    way = ingest(log)

    async def run() -> None:
        await way.accept("POST", call.path, call.query, call.headers, reader(call.body))

    try:
        asyncio.run(run())
    except RefusedError as refusal:
        return refusal
    return None


def take(call: Call, log: PaperLog, answers: list[bool], tally: Tally | None = None) -> bool:
    way = ingest(log, tally)
    return way.take(call.path, call.query, call.headers, call.body, answers.append)


tokens = st.sampled_from(
    ["token-conta", "token-caixa", "token-robo", "token-assinada", "tóken", "token", "x" * 600, ""]
)
bodies = st.one_of(
    st.sampled_from(
        [
            b'{"event":"message_created","account":{"id":3},"conversation":{"id":7}}',
            b"{}",
            b"[]",
            b"",
            b"{" * 50,
            b'{"a":"' + b"x" * BODY_MAX + b'"}',
        ]
    ),
    st.binary(max_size=60),
)
odd_headers = st.tuples(
    st.sampled_from(
        [
            *(b"content-type", b"content-encoding", b"content-length", b"x-chatwoot-timestamp"),
            *(b"x-chatwoot-instance-id", b"x-chatwoot-signature", b"authorization", b"x-other"),
        ]
    ),
    st.one_of(
        st.sampled_from(
            [
                *(b"application/json", b"text/plain", b"application/hal+json; charset=utf-8"),
                *(b"gzip", b"identity", b"10", b"401", b"loja-sp", b"ins_1", b"other"),
                *(b"Bearer token-conta", b"Basic ???", b"Basic \xe9", b"9" * 5000),
            ]
        ),
        st.binary(max_size=20),
    ),
)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    token, body = draw(tokens), draw(bodies)
    headers = draw(st.lists(odd_headers, max_size=4))
    path, query = "/webhook", b""
    match draw(st.sampled_from(["path", "query", "bearer", "basic", "nowhere"])):
        case "path":
            path += f"/{token}" + draw(st.sampled_from(["", "/"]))
        case "query":
            query = b"token=" + token.encode() + draw(st.sampled_from([b"", b"&a=1", b"&a" * 40]))
        case "bearer":
            headers.append((b"authorization", b"Bearer " + token.encode()))
        case "basic":
            pair = base64.b64encode(f"me:{token}".encode())
            headers.append((b"authorization", b"Basic " + pair))
    if draw(st.booleans()):
        at = str(int(time.time()) + draw(st.sampled_from([0, -1000])))
        secret = draw(st.sampled_from(["one", "two", "three"]))
        headers.append((b"x-chatwoot-timestamp", at.encode()))
        headers.append((b"x-chatwoot-signature", sign(secret, at, body).encode()))
    return Call(path, query, tuple(draw(st.permutations(headers))), body)


@given(calls())
@settings(max_examples=250, deadline=None)
@example(Call())
@example(Call(path="/webhook", query=b"token=token-conta" + b"&a=1" * 40))
@example(Call(path="/webhook", headers=((b"authorization", b"Basic \xe9"),)))
@example(Call(headers=((b"content-length", b"0" * 5000 + b"9"),)))
def test_what_the_short_way_takes_the_long_way_would_have_taken_alike(call: Call) -> None:
    short, long, answers = PaperLog(), PaperLog(), list[bool]()
    taken = take(call, short, answers)
    refusal = accept(call, long)  # whatever it is, it is an answer
    assert answers == [], "answered before it is durable"
    if taken:
        assert refusal is None
        (one,), (other,) = short.records, long.records
        assert abs(one.accepted_at_ms - other.accepted_at_ms) < 10_000
        assert msgspec.structs.replace(one, accepted_at_ms=0) == msgspec.structs.replace(
            other, accepted_at_ms=0
        )
        short.receipts[0].set_result(None)
        assert answers == [True]
    else:
        assert short.records == []
        announced = dict(call.headers).get(b"content-length", b"")
        # Only what the long way looks at besides can make it refuse more; it never takes more.
        assert refusal is not None or announced


def counted(tally: Tally) -> list[tuple[tuple[str, ...], float]]:
    return [(labels, cell.value) for labels, cell in tally.events_accepted.cells()]


def test_an_event_is_counted_once_it_is_durable_and_not_before() -> None:
    log, answers, tally = PaperLog(), list[bool](), Tally()
    assert take(Call(), log, answers, tally)
    assert (counted(tally), answers) == ([], [])
    assert not log.receipts[0].done()
    log.receipts[0].set_result(None)
    assert counted(tally) == [(("loja-sp", SourceKind.ACCOUNT, "message_created"), 1)]
    assert answers == [True]


def test_an_event_that_cannot_be_stored_is_not_counted_and_its_caller_is_told_so() -> None:
    log, answers, tally = PaperLog(), list[bool](), Tally()
    assert take(Call(), log, answers, tally)
    log.receipts[0].set_exception(StoreUnavailableError("full"))
    assert (counted(tally), answers) == ([], [False])


def test_above_the_high_water_mark_nothing_is_taken_the_short_way() -> None:
    answers: list[bool] = []
    assert take(Call(), PaperLog(pending_bytes=ROOM), answers)
    log = PaperLog(pending_bytes=ROOM + 1)
    assert not take(Call(), log, answers)
    assert log.records == []


@pytest.mark.parametrize(("name", "status"), [("conta", 503), ("caixa", 503), ("robo", 429)])
def test_a_store_that_fails_is_answered_by_what_chatwoot_sends_again(
    name: str, status: int
) -> None:
    refusal = accept(
        Call(f"/webhook/token-{name}"), PaperLog(StoreUnavailableError("the disk is full"))
    )
    assert refusal is not None
    assert (refusal.problem.status, refusal.reason) == (status, "the disk is full")
    assert refusal.caller is not None
    assert refusal.caller.source_id == f"src_{name}"


def test_a_bot_is_refused_at_once_above_the_mark_and_others_wait_for_room() -> None:
    refusal = accept(Call("/webhook/token-robo"), PaperLog(pending_bytes=ROOM + 1))
    assert refusal is not None
    assert refusal.problem is problems.BUSY

    async def run() -> PaperLog:
        log = PaperLog(pending_bytes=ROOM + 1)
        call = Call("/webhook/token-caixa")
        way: Any = ingest(log)
        waiting = asyncio.ensure_future(way.accept("POST", call.path, b"", (), reader(call.body)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        log.pending_bytes = 0
        await waiting
        return log

    assert len(asyncio.run(run()).records) == 1
