"""Every metric of the list appears on `/metrics` of a real gateway with four workers, and moves."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.conftest import API_TOKEN, BOT_TOKEN, FLEET, SECRETS, SIGNED_TOKEN, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for
from tests.support.servers.redis import RedisProcess

from comporta.chatwoot.signature import sign
from comporta.domain.growth import Sample
from comporta.fleet.watch import POLL_S
from comporta.stores import Stores
from comporta.telemetry import metric_defs as defs
from comporta.telemetry.metric_defs import METRICS, MetricDef
from comporta.telemetry.scraped import Found, parse

ELSEWHERE = {
    # tests/e2e/test_handlers.py, with a handler that blocks
    defs.HANDLER_BLOCKS,
    # tests/integration/test_traces.py, with a collector
    defs.SPANS,
    # tests/e2e/test_alerts.py, with somebody to tell
    defs.ALERTS_FIRING,
    defs.NOTIFICATIONS,
    # below, with a log on a server elsewhere
    defs.SPOOL_EVENTS,
    defs.SPOOL_ENTRIES,
    defs.SPOOL_ACTIVE,
}
"""Those that need another gateway."""
MORE = """
[[destination]]
name = "teimoso"
url = "URL/teimoso"
retry = [0.2, 0.2]

[[destination]]
name = "morto"
url = "URL/morto"
retry = []

[[destination]]
name = "parado"
url = "URL/parado"
"""
CLOCK_OFF_S, LATE_S, EVENTS = 40, 3, 12
HOUR_MS = 3_600_000
PAUSED_BY_ALL_S = 4 * POLL_S
"""Every process knows of a pause by then."""


def body(number: int, event: str = "message_created") -> bytes:
    made_at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - LATE_S))
    text = '{"event":"%s","id":%d,"created_at":"%s","conversation":{"id":%d}}'
    return (text % (event, number, made_at, number)).encode()


def page(gateway: Gateway) -> Found:
    return parse(gateway.get("/metrics").body.decode())


def value(found: Found, definition: MetricDef, *labels: str) -> float:
    """One number; of a histogram, how many values it has counted."""
    return sum(found.get(definition.name, {}).get(labels, [0.0]))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    tried: set[bytes] = set()

    def decide(path: str, data: bytes) -> int:
        if path == "/teimoso":
            first = data not in tried
            tried.add(data)
            return 500 if first else 200
        return 500 if path == "/morto" else 200

    with Receiver(decide) as receiver:
        to = 'to = ["crm", "teimoso", "morto", "parado"]'
        fleet = (FLEET.replace('to = ["crm"]', to) + MORE).replace("URL", receiver.url)
        folder = tmp_path_factory.mktemp("moving")
        with Gateway(folder, fleet, workers=4) as gateway:
            gateway.command("destination", "pause", "parado", "--reason", "férias")
            time.sleep(PAUSED_BY_ALL_S)
            yield gateway


def send_all(gateway: Gateway) -> None:
    for number in range(EVENTS):
        assert gateway.post(f"/webhook/{TOKEN}", body(number)).status == 200
    again = {"X-Chatwoot-Delivery": "the-same-twice"}
    for _ in range(2):
        assert gateway.post(f"/webhook/{TOKEN}", body(100), again).status == 200
    for number, token in ((101, API_TOKEN), (105, BOT_TOKEN)):
        assert gateway.post(f"/webhook/{token}", body(number)).status == 200
    data, at = body(102), str(int(time.time()) - CLOCK_OFF_S)
    signed = {"X-Chatwoot-Timestamp": at, "X-Chatwoot-Signature": sign(SECRETS[0], at, data)}
    assert gateway.post(f"/webhook/{SIGNED_TOKEN}", data, signed).status == 200
    assert gateway.post("/webhook/nobodys-token-of-all", b"{}").status == 404


async def grown(stores: Stores) -> None:
    """A sample of some hours ago, when there was almost nothing: since then the disk fills up."""
    then_ms = int(time.time() * 1000) - 5 * HOUR_MS
    await stores.ledger.keeping.add_sample(Sample(then_ms, 1, 1))


def behind(gateway: Gateway) -> float:
    """The lag of the log while all that dispatches is held for a moment."""
    pids = list(gateway.dispatchers.values())
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        assert gateway.post(f"/webhook/{TOKEN}", body(103)).status == 200
        return value(page(gateway), defs.LOG_LAG_ENTRIES)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_every_metric_appears_and_moves(gateway: Gateway) -> None:
    gateway.ask(grown)
    send_all(gateway)
    moved: set[MetricDef] = {defs.LOG_LAG_ENTRIES} if behind(gateway) else set()

    def unmoved() -> list[str]:
        for name, series in page(gateway).items():
            if any(any(values) for values in series.values()):
                moved.update(one for one in METRICS if one.name == name)
        return [one.name for one in METRICS if one not in moved and one not in ELSEWHERE]

    with suppress(AssertionError):
        wait_for("all have moved", lambda: not unmoved())
    assert unmoved() == []


def test_what_was_sent_is_what_was_counted(gateway: Gateway) -> None:
    sent = EVENTS + 5  # one more is a repeat, and is not delivered
    for name in ("crm", "teimoso"):
        wait_for(
            f"all is delivered to {name}",
            lambda: value(page(gateway), defs.DELIVERIES, name, "delivered") == sent,  # noqa: B023
        )
    found = page(gateway)
    assert value(found, defs.RETRIES, "teimoso") == sent
    kinds = {"account": EVENTS + 4, "api_inbox": 1, "agent_bot": 1}
    for kind, count in kinds.items():
        labels = ("loja-sp", kind, "message_created")
        assert value(found, defs.EVENTS_ACCEPTED, *labels) == count, kind
    assert value(found, defs.EVENTS_DUPLICATE, "loja-sp") == 1
    assert value(found, defs.REQUESTS_REFUSED, "404", "unknown-token") == 1
    assert value(found, defs.BODY_BYTES) == value(found, defs.ACK_SECONDS) == sum(kinds.values())
    assert value(found, defs.CHATWOOT_LAG, "loja-sp") == sum(kinds.values())
    assert found[defs.CHATWOOT_LAG.name]["loja-sp",][: defs.LAG_S.index(2.5)] == [0.0] * 7
    offset_s = found[defs.CLOCK_OFFSET.name]["loja-sp",][0]
    assert CLOCK_OFF_S <= offset_s < CLOCK_OFF_S + 10
    assert time.time() - found[defs.LAST_EVENT.name]["loja-sp",][0] < 60
    assert value(found, defs.DELIVERY_LAG_SECONDS, "crm") == sent
    assert value(found, defs.ATTEMPT_SECONDS, "teimoso", "scheduled") == sent
    dead = value(found, defs.DEAD_LETTERS, "morto")
    assert (
        dead == value(found, defs.DELIVERIES, "morto", "dead") == value(found, defs.DELIVERIES_DEAD)
    )
    assert found[defs.BREAKER_STATE.name]["morto",][0] > 0
    assert found[defs.BREAKER_STATE.name]["crm",] == [0.0]


def test_a_paused_destination_shows_in_what_waits_and_how_long(gateway: Gateway) -> None:
    def waits() -> bool:
        found = page(gateway)
        lanes, age_s = value(found, defs.LANES_WAITING), value(found, defs.OLDEST_OPEN_AGE_SECONDS)
        depth = value(found, defs.QUEUE_DEPTH, "deliveries")
        high = value(found, defs.QUEUE_HIGH_WATER, "deliveries")
        return lanes >= EVENTS and age_s > 1 and EVENTS <= depth < high

    wait_for("it shows", waits)


def test_a_clock_beyond_the_tolerance_is_told_though_its_calls_are_refused(
    gateway: Gateway,
) -> None:
    data, at = body(104), str(int(time.time()) + 3600)
    signed = {"X-Chatwoot-Timestamp": at, "X-Chatwoot-Signature": sign(SECRETS[0], at, data)}
    assert gateway.post(f"/webhook/{SIGNED_TOKEN}", data, signed).status == 401
    wait_for("it is", lambda: value(page(gateway), defs.CLOCK_OFFSET, "loja-sp") < -3500)


def test_the_spool_shows_while_the_log_is_away_and_not_afterwards(tmp_path: Path) -> None:
    server = RedisProcess(tmp_path / "redis")
    server.start()
    with (
        Receiver() as crm,
        Gateway(tmp_path, FLEET.replace("URL", crm.url), log=server.url) as gateway,
    ):
        try:
            server.freeze()
            assert gateway.post(f"/webhook/{TOKEN}", body(1)).status == 200
            found = page(gateway)
            assert value(found, defs.SPOOL_EVENTS, "spooled") == 1
            assert (value(found, defs.SPOOL_ENTRIES), value(found, defs.SPOOL_ACTIVE)) == (1, 1)
        finally:
            server.thaw()
        wait_for("it is sent on", lambda: value(page(gateway), defs.SPOOL_EVENTS, "drained") == 1)
        wait_for("it is empty", lambda: value(page(gateway), defs.SPOOL_ENTRIES) == 0)
        wait_for("it is left", lambda: value(page(gateway), defs.SPOOL_ACTIVE) == 0)
    server.kill()
