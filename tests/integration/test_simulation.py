"""The emulator has Chatwoot's manners, the sink finds what is planted, and both meet on sockets."""

import asyncio
import contextlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

import msgspec
import pytest
from standardwebhooks import Webhook

from comporta.domain.fleet import SourceKind
from comporta.testing.emulator import run_simulation, simulate
from comporta.testing.load import hammer
from comporta.testing.loop import run
from comporta.testing.observed import Arrival, SinkReport, look
from comporta.testing.simulation import (
    Acknowledged,
    SimulatedChatwoot,
    SimulationPlan,
    SimulationSummary,
)
from comporta.testing.sink import Sink
from comporta.testing.sink_connection import Mode, SinkBehaviour

SECRET = "k3VqWb9ZtR2mXy7LcN5dPs8A"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """A plain server that notes what comes, and answers as it is told.

    `answer(number)` gives the status of the n-th request from 0; None: never answer.
    """

    def __init__(self, answer: Callable[[int], int | None] = lambda _: 200) -> None:
        self.answer = answer
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = self.open = self.open_max = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.open_max = max(self.open_max, self.open)
        try:
            while head := await self._head(reader):
                lines = head.decode().split("\r\n")
                headers = dict(line.split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(headers["Content-Length"]))
                self.requests.append((lines[0], headers, body))
                status = self.answer(len(self.requests) - 1)
                await self.gate.wait()
                if status is not None:
                    writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        finally:
            self.open -= 1
            writer.close()

    @staticmethod
    async def _head(reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/webhook/tok?x=1"


def chatwoot(
    url: str,
    kind: SourceKind = SourceKind.ACCOUNT,
    name: str = "loja-sp",
    secret: str | None = SECRET,
) -> SimulatedChatwoot:
    return SimulatedChatwoot(name, kind, url, secret)


def simulated(
    receiver: Receiver,
    kind: SourceKind = SourceKind.ACCOUNT,
    secret: str | None = SECRET,
    **plan: Any,
) -> SimulationSummary:
    async def main() -> SimulationSummary:
        async with receiver.listening() as url:
            told = SimulationPlan((chatwoot(url, kind, secret=secret),), **plan)
            return await simulate(told)

    return run(main())


def test_each_webhook_is_a_signed_post_in_chatwoots_form_over_its_own_connection() -> None:
    receiver = Receiver()
    summary = simulated(receiver, events=60)
    assert summary.sent == summary.accepted == len(receiver.requests) == receiver.connections == 60
    for line, headers, body in receiver.requests:
        assert line == "POST /webhook/tok?x=1 HTTP/1.1"
        assert list(headers) == [
            "Host",
            "Content-Type",
            "Accept",
            "Accept-Encoding",
            "User-Agent",
            "Content-Length",
            "X-Chatwoot-Delivery",
            "X-Chatwoot-Timestamp",
            "X-Chatwoot-Signature",
        ]
        assert headers["User-Agent"] == "Ruby"
        stamp = headers["X-Chatwoot-Timestamp"]
        mac = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, sha256).hexdigest()
        assert headers["X-Chatwoot-Signature"] == f"sha256={mac}"
        assert abs(time.time() - int(stamp)) < 60
        assert json.loads(body)
    assert len({headers["X-Chatwoot-Delivery"] for _, headers, _ in receiver.requests}) == 60


def test_without_a_secret_nothing_is_signed() -> None:
    receiver = Receiver()
    simulated(receiver, secret=None, events=5)
    for _, headers, _ in receiver.requests:
        assert "X-Chatwoot-Delivery" in headers
        assert "X-Chatwoot-Signature" not in headers
        assert "X-Chatwoot-Timestamp" not in headers


def test_credentials_in_the_url_become_basic_authentication() -> None:
    receiver = Receiver()

    async def main() -> Any:
        async with receiver.listening() as url:
            with_pair = url.replace("http://", "http://loja:s%40grado@")
            await simulate(SimulationPlan((chatwoot(with_pair),), events=1))

    run(main())
    headers = receiver.requests[0][1]
    assert headers["Authorization"] == "Basic bG9qYTpzQGdyYWRv"
    assert "@" not in headers["Host"]


def test_no_more_than_ten_webhooks_are_under_way_at_once() -> None:
    receiver = Receiver()
    receiver.gate.clear()

    def answer(number: int) -> int:
        if number == 9:  # the tenth is here, and no eleventh comes while none is answered
            asyncio.get_running_loop().call_later(0.2, receiver.gate.set)
        return 200

    receiver.answer = answer
    summary = simulated(receiver, events=40)
    assert summary.accepted == 40
    assert receiver.open_max == 10


def test_events_of_a_conversation_come_one_after_the_other_whatever_the_answers() -> None:
    receiver = Receiver(lambda number: 200 if number % 3 else 503)
    simulated(receiver, events=300)
    last: dict[str, int] = {}
    for _, _, body in receiver.requests:
        seen = look(body)
        assert seen.marker.seq == last.get(seen.subject, 0) + 1
        last[seen.subject] = seen.marker.seq


@pytest.mark.parametrize("kind", [SourceKind.ACCOUNT, SourceKind.API_INBOX])
def test_an_account_or_api_inbox_webhook_is_sent_once_even_if_refused(kind: SourceKind) -> None:
    receiver = Receiver(lambda _: 500)
    summary = simulated(receiver, kind, events=20)
    assert len(receiver.requests) == summary.sent == 20
    assert (summary.accepted, summary.retries, summary.refused) == (0, 0, {500: 20})


@pytest.mark.parametrize("status", [429, 500])
def test_a_bots_webhook_is_tried_three_times_with_one_delivery_id(status: int) -> None:
    receiver = Receiver(lambda _: status)
    summary = simulated(receiver, SourceKind.AGENT_BOT, events=4, bot_retry_s=0.01)
    tries = Counter(headers["X-Chatwoot-Delivery"] for _, headers, _ in receiver.requests)
    assert sorted(tries.values()) == [3, 3, 3, 3]
    bodies = {(headers["X-Chatwoot-Delivery"], body) for _, headers, body in receiver.requests}
    assert len(bodies) == 4
    assert (summary.sent, summary.retries, summary.refused) == (4, 8, {status: 4})


@pytest.mark.parametrize("status", [400, 404, 502, 503])
def test_a_bots_webhook_is_given_up_at_once_on_any_other_status(status: int) -> None:
    receiver = Receiver(lambda _: status)
    summary = simulated(receiver, SourceKind.AGENT_BOT, events=4)
    assert len(receiver.requests) == 4
    assert summary.refused == {status: 4}


def test_a_bots_retry_that_works_counts_as_accepted() -> None:
    receiver = Receiver(lambda number: 429 if number == 0 else 204)
    summary = simulated(receiver, SourceKind.AGENT_BOT, events=3, bot_retry_s=0.01)
    assert (summary.accepted, summary.retries, summary.refused) == (3, 1, {})


def test_an_answer_that_does_not_come_is_a_timeout() -> None:
    summary = simulated(Receiver(lambda _: None), events=5, read_timeout_s=0.05)
    assert (summary.sent, summary.timeouts) == (5, 5)


def test_a_receiver_that_is_not_there_fails_the_events_and_not_the_simulation() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        summary = run_simulation(SimulationPlan((chatwoot(url),), events=10))
    assert (summary.sent, summary.connection_errors) == (10, 10)


def test_a_receiver_that_is_restarted_is_met_again_and_only_what_fell_between_is_lost() -> None:
    acknowledged: list[Acknowledged] = []
    arrived: list[Arrival] = []

    async def main() -> Any:
        under_way, missed = asyncio.Event(), asyncio.Event()

        def on_arrival(arrival: Arrival) -> None:
            arrived.append(arrival)
            if len(arrived) == 50:
                under_way.set()

        def on_progress(summary: SimulationSummary) -> None:
            if summary.connection_errors:
                missed.set()

        async with asyncio.TaskGroup() as group:
            async with Sink(on_arrival=on_arrival) as first:
                plan = SimulationPlan((chatwoot(first.url),), rate_per_s=400, events=600)
                simulation = group.create_task(simulate(plan, on_progress, acknowledged.append))
                await under_way.wait()
            await missed.wait()
            async with Sink(port=first.port, on_arrival=on_arrival):
                return await simulation

    summary = run(main())
    assert summary.sent == summary.accepted + summary.connection_errors == 600
    assert summary.connection_errors > 0
    assert summary.accepted > 60  # more than before the restart
    assert {each.digest for each in acknowledged} <= {each.digest for each in arrived}


def test_a_duration_ends_it_and_the_rate_holds_over_all_chatwoots() -> None:
    receiver = Receiver()

    async def main() -> Any:
        async with receiver.listening() as url:
            both = (chatwoot(url), chatwoot(url, name="loja-rj"))
            return await simulate(SimulationPlan(both, rate_per_s=200, duration_s=0.5))

    summary = run(main())
    assert summary.sent == 100
    assert 0.4 < summary.duration_s < 5


def test_a_plan_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="end"):
        SimulationPlan((chatwoot("http://127.0.0.1/"),))


def test_neither_url_nor_secret_show_when_a_chatwoot_is_printed() -> None:
    printed = repr(chatwoot("http://127.0.0.1/webhook/tok-123"))
    assert "tok-123" not in printed
    assert SECRET not in printed


def test_emulator_and_sink_agree_on_every_event() -> None:
    acknowledged: list[Acknowledged] = []
    arrived: list[Arrival] = []
    progress: list[SimulationSummary] = []

    async def main() -> Any:
        async with Sink(on_arrival=arrived.append) as sink:
            chatwoots = tuple(
                chatwoot(sink.url, kind, name)
                for name in ("loja-sp", "loja-rj")  # the same numbers in both: two tenants
                for kind in SourceKind
            )
            plan = SimulationPlan(chatwoots, events=3_000)
            summary = await simulate(plan, progress.append, acknowledged.append)
            return summary, sink.report()

    summary, report = run(main())
    assert summary.sent == summary.accepted == report.accepted == report.unique == 3_000
    assert (report.duplicates, report.disorder, report.missing, report.unmarked) == (0, 0, 0, 0)
    assert {each.digest for each in acknowledged} == {each.digest for each in arrived}
    assert len(acknowledged) == 3_000
    assert 0 < summary.ack_p50_ms <= summary.ack_p99_ms <= summary.ack_max_ms
    assert progress[-1].sent == 3_000


def test_a_sink_that_fails_a_share_leaves_exactly_those_events_unacknowledged() -> None:
    async def main() -> Any:
        async with Sink(behaviour=SinkBehaviour("fail", share=0.3, status=500)) as sink:
            summary = await simulate(SimulationPlan((chatwoot(sink.url),), events=500))
            return summary, sink.report()

    summary, report = run(main())
    assert summary.refused == {500: report.refused}
    assert 80 < report.refused < 230
    assert report.accepted == summary.accepted == 500 - report.refused
    assert (report.duplicates, report.disorder) == (0, 0)


def post(url: str, body: bytes | None = b"{}", method: str = "POST", **headers: str) -> Any:
    request = urllib.request.Request(  # noqa: S310
        url, body, {name.replace("_", "-"): value for name, value in headers.items()}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def with_sink(sink: Sink, visit: Callable[[str], Any]) -> tuple[Any, SinkReport]:
    """Run `visit(url)` in a thread while the sink listens; its result and the sink's report."""

    async def main() -> tuple[Any, SinkReport]:
        async with sink:
            return await asyncio.to_thread(visit, sink.url), sink.report()

    return run(main())


def marked(seq: int, conversation: int = 12) -> bytes:
    marker = {"comporta": {"run": "r", "seq": seq, "at_ms": 0}}
    return msgspec.json.encode(
        {
            "event": "message_created",
            "content_attributes": marker,
            "conversation": {"id": conversation},
        }
    )


def test_planted_repeats_and_disorder_are_found() -> None:
    def visit(url: str) -> Any:
        for number, seq in enumerate([1, 2, 4, 3, 4, 5]):
            post(url, marked(seq), webhook_id=f"dlv_{number}", comporta_instance="loja-sp")
        post(url, marked(5), webhook_id="dlv_5", comporta_instance="loja-sp")
        post(url, marked(1), webhook_id="dlv_6", comporta_instance="loja-rj")
        post(url, marked(1, conversation=13), webhook_id="dlv_7", comporta_instance="loja-sp")

    _, report = with_sink(Sink(), visit)
    assert report.accepted == 9
    assert (report.duplicates, report.duplicates_by_id, report.duplicates_by_marker) == (2, 1, 2)
    assert (report.disorder, report.missing) == (1, 0)


def test_only_rightly_signed_deliveries_are_taken() -> None:
    now = datetime.now(UTC)
    stamp = str(int(now.timestamp()))
    right = Webhook(WHSEC).sign("dlv_1", now, "{}")

    def visit(url: str) -> Any:
        named = {"webhook_id": "dlv_1", "webhook_timestamp": stamp}
        return [
            post(url, b"{}", **named, webhook_signature=right)[0],
            post(url, b"{ }", **named, webhook_signature=right)[0],
            post(url, b"{}", **named)[0],
        ]

    statuses, report = with_sink(Sink(secret=WHSEC), visit)
    assert statuses == [200, 401, 401]
    assert (report.arrivals, report.accepted, report.bad_signatures) == (3, 1, 2)


def test_its_behaviour_is_changed_and_its_report_read_over_http() -> None:
    def visit(url: str) -> Any:
        change = msgspec.json.encode({"mode": "fail", "status": 429, "retry_after_s": 7})
        changed = post(url + "behaviour", change, "PUT")
        refused = post(url)
        wrong = post(url + "behaviour", b'{"mode":"explode"}', "PUT")
        post(url + "behaviour", b"{}", "PUT")
        return changed, refused, wrong, post(url), post(url + "report", None, "GET")

    (changed, refused, wrong, taken, report), final = with_sink(Sink(), visit)
    assert changed[0] == 200
    assert (refused[0], refused[1]["Retry-After"]) == (429, "7")
    assert wrong[0] == 400
    assert b"explode" in wrong[2]
    assert taken[0] == 200
    assert msgspec.json.decode(report[2], type=type(final)) == final
    assert (final.arrivals, final.accepted, final.refused) == (2, 1, 1)


@pytest.mark.parametrize("mode", ["hang", "cut"])
def test_a_sink_that_hangs_or_cuts_does_not_count_as_having_accepted(
    mode: Literal["hang", "cut"],
) -> None:
    async def main() -> Any:
        async with Sink(behaviour=SinkBehaviour(mode)) as sink:
            plan = SimulationPlan((chatwoot(sink.url),), events=5, read_timeout_s=0.1)
            summary = await simulate(plan)
            return summary, sink.report()

    summary, report = run(main())
    assert (report.unanswered, report.accepted) == (5, 0)
    assert summary.timeouts == (5 if mode == "hang" else 0)
    assert summary.connection_errors == (5 if mode == "cut" else 0)


def answer_to(mode: Mode) -> tuple[bytes, str, SinkReport]:
    """What a sink of that mode says to a delivery on a plain socket, and how it ends."""

    def visit(url: str) -> tuple[bytes, str]:
        port = int(url.rsplit(":", 1)[1].strip("/"))
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as raw:
            raw.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
            heard, ending = b"", "closed"
            try:
                while piece := raw.recv(1000):
                    heard += piece
            except TimeoutError:
                ending = "silent"
            except ConnectionResetError:
                ending = "reset"
            return heard, ending

    (heard, ending), report = with_sink(Sink(behaviour=SinkBehaviour(mode)), visit)
    return heard, ending, report


@pytest.mark.parametrize(
    ("mode", "told", "ending"),
    [("half_head", False, "closed"), ("no_body", True, "silent"), ("reset", True, "reset")],
)
def test_a_sink_that_lies_begins_a_200_and_does_not_end_it(
    mode: Mode, told: bool, ending: str
) -> None:
    heard, ended, report = answer_to(mode)
    assert heard.startswith(b"HTTP/1.1 200")
    assert (b"\r\n\r\n" in heard) is told
    assert not heard.endswith(b"\r\n\r\nok")
    assert ended == ending
    assert (report.accepted, report.unanswered) == ((1, 0) if told else (0, 1))


def test_a_delayed_answer_that_nobody_waited_for_is_not_accepted() -> None:
    async def main() -> Any:
        async with Sink(behaviour=SinkBehaviour(delay_s=600)) as sink:
            plan = SimulationPlan((chatwoot(sink.url),), events=3, read_timeout_s=0.1)
            await simulate(plan)
            sink.behaviour = SinkBehaviour(delay_s=0.01)
            later = await simulate(msgspec.structs.replace(plan, read_timeout_s=5.0))
            return later, sink.report()

    later, report = run(main())
    assert later.accepted == report.accepted == 3
    assert report.unanswered == 3


def test_what_is_not_http_is_counted_and_cut_off() -> None:
    def visit(url: str) -> Any:
        port = int(url.rsplit(":", 1)[1].strip("/"))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(b"\x16\x03\x01 not http\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert raw.recv(100) == b""

    _, report = with_sink(Sink(), visit)
    assert (report.malformed, report.arrivals) == (1, 0)


def test_a_body_is_noted_byte_for_byte_even_in_many_pieces() -> None:
    arrived: list[Arrival] = []
    body = os.urandom(3_000_000)
    _, report = with_sink(Sink(on_arrival=arrived.append), lambda url: post(url, body))
    assert arrived[0].digest == sha256(body).digest()
    assert report.unmarked == 1


@pytest.mark.parametrize("keep_alive", [True, False])
def test_the_load_generator_counts_what_the_server_saw(keep_alive: bool) -> None:
    async def main() -> Any:
        async with (receiver := Receiver()).listening() as url:
            bodies = [b'{"n":1}', b'{"n":2}']
            result = await hammer(url, bodies, 4, 0.3, keep_alive=keep_alive, rate=200)
            return receiver, result

    receiver, result = run(main())
    assert result.requests == len(receiver.requests) == 60
    assert receiver.connections == (4 if keep_alive else 60)
    assert result.errors == 0
    assert {body for _, _, body in receiver.requests} == {b'{"n":1}', b'{"n":2}'}


def test_the_load_generator_ends_with_its_bodies_and_tells_errors_by_status() -> None:
    async def main() -> Any:
        receiver = Receiver(lambda number: 503 if number < 2 else 200)
        async with receiver.listening() as url:
            bodies = iter([b"{}"] * 5)
            return await hammer(url, bodies, 1, 60, headers={"X-Mine": "1"}), receiver

    result, receiver = run(main())
    assert (result.requests, result.errors, result.statuses) == (3, 2, {503: 2})
    assert receiver.requests[0][1]["X-Mine"] == "1"


def test_a_stall_shows_in_an_open_loop_even_though_clients_stall_too() -> None:
    async def main() -> Any:
        receiver = Receiver()
        receiver.gate.clear()
        asyncio.get_running_loop().call_later(0.3, receiver.gate.set)
        async with receiver.listening() as url:
            return await hammer(url, [b"{}"], 1, 0.4, rate=100)

    result = run(main())
    assert result.requests == 40
    assert result.p50_ms > 30  # most were due while the first one was held up
    assert result.max_ms >= 250


def test_a_sink_process_reports_when_it_is_told_to_stop() -> None:
    script = (
        "import msgspec\n"
        "from comporta.testing.sink import Sink, run_sink\n"
        "report = run_sink(Sink(), on_ready=lambda url: print(url, flush=True))\n"
        "print(msgspec.json.encode(report).decode())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        summary = run_simulation(SimulationPlan((chatwoot(url),), events=50))
        process.send_signal(signal.SIGTERM)
        report = json.loads(process.stdout.readline())
    assert process.returncode == 0
    assert report["unique"] == summary.accepted == 50
