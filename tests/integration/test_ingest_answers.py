"""What is taken, what is refused and in which words, through a running gateway."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import pytest
from tests.integration.conftest import API_TOKEN, BOT_TOKEN, OTHER_TOKEN, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

from comporta.ingest import problems
from comporta.ledger.port import EventFilter

LIMIT = 20 * 1024 * 1024
SAMPLES = resources.files("comporta.testing") / "payloads"
_numbers = itertools.count(1)


def body(pad: int = 0) -> bytes:
    """A new event, unlike all before."""
    return b'{"event":"message_created","n":%d,"pad":"%b"}' % (next(_numbers), b"x" * pad)


def of_size(size: int) -> bytes:
    short = body()
    return short[:-2] + b"x" * (size - len(short)) + short[-2:]


def samples() -> Iterator[tuple[str, Traversable]]:
    """Each event once, with the token of its source: written in two ways it would be a repeat."""
    raw = {file.name.removesuffix(".body") for file in (SAMPLES / "raw").iterdir()}
    left_out = {"INDEX", "signature_vectors"} | raw
    of_kind = {"agent_bot": BOT_TOKEN, "api_inbox": API_TOKEN}
    for folder in (SAMPLES, SAMPLES / "raw"):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.is_file() and file.name.removesuffix(".json") not in left_out:
                yield of_kind.get(file.name.partition(".")[0], TOKEN), file
    for file in (SAMPLES / "other").iterdir():
        yield OTHER_TOKEN, file


def arrived(crm: Receiver, data: bytes) -> bool:
    return data in crm.bodies()


def test_every_sample_of_chatwoots_events_is_taken_and_arrives_byte_for_byte(
    gateway: Gateway, crm: Receiver
) -> None:
    sent: dict[tuple[str, bytes], str] = {}
    for token, file in samples():
        data = file.read_bytes()
        answer = gateway.post(f"/webhook/{token}", data, {"X-Chatwoot-Delivery": file.name})
        assert (answer.status, answer.body) == (200, b""), file.name
        # One by one: of changes that wait, only the newest of a conversation is sent.
        wait_for(f"{file.name} arrives", partial(arrived, crm, data))
        sent[token, data] = file.name
    assert len(sent) > 50
    expected = Counter(data for _token, data in sent)
    found = Counter(crm.bodies())
    assert {data: found[data] for data in expected} == expected


ODD = [
    b"{}",
    b'\n\t {"event" : "message_created" }\r\n ',
    b'{"event":"a_type_of_the_future","future":{"deep":[1,2,{"x":null}]},"id":"text"}',
    b'{"event":5,"id":[],"account":"x","conversation":7,"sender":null,"messages":{}}',
    b'{"event":null,"id":123456789012345678901234567890,"account":{"id":1e999}}',
    b'{"event":"' + b"e" * 5000 + b'","id":1}',
    '{"event":"message_created","content":"Olá 🚪 \u2028 é"}'.encode(),
    b'{"event":"message_created","content":"\\u0000\\ud800"}',
    b'{"event":"message_created","event":"twice"}',
    b'{"event":"conversation_typing_on","conversation":null,"user":null}',
    b'{"event":"message_created","account":{"id":18446744073709551615}}',
    b'{"event":"message_created","account":{"id":9223372036854775808},"id":-9223372036854775809}',
    b'{"event":"message_created","account":{"id":-9999999999999999999999}}',
    b'{"event":"contact_created","id":18446744073709551615,"account_id":18446744073709551615}',
    b'{"event":"\\ud800","conversation":{"id":5}}',
    b'{"event":"\\u0000nul","conversation":{"id":5,"status":"\\udfff"}}',
]


@pytest.mark.parametrize("data", ODD, ids=range(len(ODD)))
def test_odd_objects_are_taken_and_arrive_as_they_are(
    gateway: Gateway, crm: Receiver, data: bytes
) -> None:
    assert gateway.post(f"/webhook/{TOKEN}", data).status == 200
    wait_for("it arrives", lambda: data in crm.bodies())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"hello",
        b"[]",
        b'[{"event":"message_created"}]',
        b'"text"',
        b"null",
        b"17",
        b'{"event":"message_created"',
        b'{"event":"message_created"}}',
        b"\x00\xff\xfe",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"event":"message_created","n":nan',
    ],
    ids=range(14),
)
def test_what_is_no_json_object_is_refused(gateway: Gateway, data: bytes) -> None:
    answer = gateway.post(f"/webhook/{TOKEN}", data)
    assert (answer.status, answer.json["type"]) == (400, "/problems/not-json")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_post_is_taken(gateway: Gateway, method: str) -> None:
    for path in ("/webhook", "/webhook/", f"/webhook/{TOKEN}"):
        answer = gateway.request(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "APPLICATION/JSON"}, 200),
        ({"Content-Type": "application/cloudevents+json"}, 200),
        ({"Content-Type": ""}, 200),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "identity"}, 200),
    ],
)
def test_only_what_is_said_to_be_something_else_is_no_json(
    gateway: Gateway, headers: dict[str, str], status: int
) -> None:
    assert gateway.post(f"/webhook/{TOKEN}", body(), headers).status == status
    plain = gateway.request("POST", f"/webhook/{TOKEN}", body())
    assert plain.status == 200, "without any Content-Type"


def chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 1 << 20):
        yield data[start : start + (1 << 20)]


def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not(
    gateway: Gateway, crm: Receiver
) -> None:
    whole, pieces = of_size(LIMIT), of_size(LIMIT)
    assert gateway.post(f"/webhook/{TOKEN}", whole).status == 200
    assert gateway.post(f"/webhook/{TOKEN}", chunks(pieces)).status == 200
    answer = gateway.post(f"/webhook/{TOKEN}", chunks(of_size(LIMIT + 1)))
    assert (answer.status, answer.json["type"]) == (413, "/problems/too-large")
    wait_for("both arrive", lambda: {whole, pieces} <= set(crm.bodies()))


def test_a_body_that_is_announced_too_large_is_not_waited_for(gateway: Gateway) -> None:
    for announced in (LIMIT + 1, 10**30):
        with gateway.connect() as connection:
            head = (
                f"POST /webhook/{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: {announced}\r\n\r\n"
            )
            connection.sendall(head.encode())
            said = connection.makefile("rb").readline()
        assert said.split(b" ")[1] in (b"413", b"400")
        assert (announced > 2**64) == (b"400 Bad" in said)


@pytest.mark.parametrize("token", [TOKEN, "nobodys-token-of-all"])
@pytest.mark.parametrize("cut", [bytes, chunks], ids=["announced", "in chunks"])
def test_the_answer_was_lost_on_clients_that_send_all_before_they_read(
    gateway: Gateway, token: str, cut: Callable[[bytes], Any]
) -> None:
    for size in (LIMIT + 1, 2 * LIMIT):
        answer = gateway.post(f"/webhook/{token}", cut(of_size(size)))
        assert answer.status == 413
        assert answer.headers["connection"] == "close"


def test_what_is_thrown_away_of_a_body_is_bounded(gateway: Gateway) -> None:
    sent, piece = 0, b"x" * (1 << 20)
    with gateway.connect() as connection, suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(b"POST /webhook/%b HTTP/1.1\r\nHost: x\r\n" % TOKEN.encode())
        connection.sendall(b"Content-Length: %d\r\n\r\n" % 2**40)
        while sent < 200:
            connection.sendall(piece)
            sent += 1
    assert 60 <= sent < 100


@pytest.mark.parametrize("announced", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_length_beyond_what_a_store_can_count_ended_the_worker(
    gateway: Gateway, announced: int
) -> None:
    with gateway.connect() as connection:
        connection.sendall(b"POST /webhook/nobodys-token-of-all HTTP/1.1\r\nHost: x\r\n")
        connection.sendall(b"Content-Length: %d\r\n\r\n" % announced)
        assert b" 413 " in connection.makefile("rb").readline()

    def kept() -> bool:
        rows = gateway.ask(lambda stores: stores.state.rejected(1000))
        return any(row.body_bytes >= 2**63 - 1 for row in rows)

    wait_for("it is kept", kept, 5)
    assert gateway.post(f"/webhook/{TOKEN}", body()).status == 200


def test_refusals_speak_the_callers_language(gateway: Gateway) -> None:
    for path, data in (("/webhook/nobodys-token-of-all", b"{}"), (f"/webhook/{TOKEN}", b"[]")):
        said: dict[str, set[str]] = {}
        for asked, language in (
            ("", "en"),
            ("de", "en"),
            ("pt-BR,pt;q=0.9,en;q=0.5", "pt-BR"),
            ("pt", "pt-BR"),
        ):
            answer = gateway.post(path, data, {"Accept-Language": asked} if asked else {})
            assert answer.headers["content-language"] == language
            said.setdefault(language, set()).add(answer.json["title"])
        assert {len(titles) for titles in said.values()} == {1}
        assert said["en"] != said["pt-BR"]


def test_a_repeat_is_answered_200_recorded_as_one_and_not_delivered_again(
    gateway: Gateway, crm: Receiver
) -> None:
    twice, changed, after = body(), body(), body()
    by_id = {"X-Chatwoot-Delivery": f"delivery-{next(_numbers)}"}
    for data, headers in (
        (twice, {"X-Chatwoot-Delivery": "one-id"}),
        (twice, {"X-Chatwoot-Delivery": "and-another"}),
        (twice, {}),
        (changed, by_id),
        (changed[:-1] + b" }", by_id),
        (after, {}),
    ):
        assert gateway.post(f"/webhook/{TOKEN}", data, headers).status == 200
    wait_for("the last one arrives", lambda: after in crm.bodies())
    bodies = crm.bodies()
    assert (bodies.count(twice), bodies.count(changed)) == (1, 1)
    assert changed[:-1] + b" }" not in bodies
    rows = gateway.ask(lambda stores: stores.ledger.events(EventFilter(limit=6)))
    last, repeat, first, again, and_again, twice_row = rows
    assert [row.duplicate_of for row in (last, first, twice_row)] == [None] * 3
    assert repeat.duplicate_of == first.id
    assert again.duplicate_of == and_again.duplicate_of == twice_row.id
    assert [row.deliveries for row in rows] == [1, 0, 1, 0, 0, 1]


def test_the_same_body_from_another_source_is_no_repeat(gateway: Gateway, crm: Receiver) -> None:
    data = body()
    for token in (TOKEN, API_TOKEN):
        assert gateway.post(f"/webhook/{token}", data).status == 200
    wait_for("both arrive", lambda: crm.bodies().count(data) == 2)


def test_other_paths_are_not_found_and_not_redirected(gateway: Gateway) -> None:
    for path in (
        "/",
        "/webhooks",
        "/webhook.php",
        "/health/",
        "/metrics/",
        f"/{TOKEN}",
        "//webhook",
    ):
        answer = gateway.post(path, b"{}")
        assert answer.status in (404, 405), path
    for path in ("/health", "/livez", "/readyz", "/metrics"):
        assert gateway.get(path).status == 200


def test_health_speaks_to_people_in_their_language(gateway: Gateway) -> None:
    browser = {"Accept": "text/html,*/*;q=0.8"}
    english = gateway.request("GET", "/health", None, browser)
    portuguese = gateway.request("GET", "/health", None, {**browser, "Accept-Language": "pt-BR"})
    assert english.body.startswith(b"Comporta: All is well.")
    assert portuguese.body.decode().splitlines()[0] != english.body.decode().splitlines()[0]
    assert json.loads(gateway.get("/health").body)["status"] == "ok"


def test_refusals_that_lose_events_are_counted_from_the_start_so_that_the_first_is_a_rise(
    gateway: Gateway,
) -> None:
    shown = gateway.metrics()
    for one in problems.LOSSES:
        labels = f'{{reason="{one.name}",status="{one.status}"}}'
        assert f"comporta_requests_refused_total{labels}" in shown
