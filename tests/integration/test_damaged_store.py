"""Files that are damaged while the gateway runs: what can still be promised, is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import FLEET, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Answer, Gateway, wait_for


@pytest.fixture
def crm() -> Iterator[Receiver]:
    with Receiver() as crm:
        yield crm


@pytest.fixture
def gateway(tmp_path: Path, crm: Receiver) -> Iterator[Gateway]:
    with Gateway(tmp_path, FLEET.replace("URL", crm.url)) as gateway:
        for number in range(20):
            assert send(gateway, number).status == 200
        wait_for("all arrive", lambda: len(crm.arrived) == 20)
        yield gateway


def send(gateway: Gateway, number: int) -> Answer:
    return gateway.post(f"/webhook/{TOKEN}", b'{"event":"message_created","n":%d}' % number)


def damage(gateway: Gateway, store: str) -> None:
    """Put something in its place that is no database, as a wrong copy would be."""
    wrong = gateway.data / "wrong-copy"
    wrong.write_bytes(b"this is no database" * 1000)
    (gateway.data / f"{store}-wal").unlink(missing_ok=True)
    wrong.rename(gateway.data / store)


def put_aside(gateway: Gateway, store: str) -> None:
    for path in gateway.data.glob(f"{store}*"):
        if not path.name.endswith(("gate", "lock")):
            path.rename(path.with_name(f"aside-{path.name}"))


def test_a_damaged_log_refuses_events_and_works_again_once_it_is_put_aside(
    gateway: Gateway, crm: Receiver
) -> None:
    damage(gateway, "log.db")
    numbers = iter(range(100, 200))
    wait_for("it is noticed", lambda: send(gateway, next(numbers)).status == 503)
    answer = send(gateway, 200)
    assert answer.json["type"] == "/problems/cannot-store"
    assert b"log.db" not in answer.body, "files of this machine are nothing for a stranger"
    kept = wait_for("it is kept, with its reason", lambda: gateway.command("rejected"))
    assert "log.db is damaged" in kept[0]["reason"]
    assert gateway.get("/readyz").status == 503
    assert gateway.get("/livez").status == 200
    put_aside(gateway, "log.db")
    wait_for("it is ready", lambda: gateway.get("/readyz").status == 200)
    assert [send(gateway, number).status for number in range(500, 510)] == [200] * 10
    after = {b'{"event":"message_created","n":%d}' % number for number in range(500, 510)}
    wait_for("they arrive", lambda: after <= set(crm.bodies()))
    assert "store.failed" in gateway.log
    assert "store.recovered" in gateway.log


def test_a_log_that_was_damaged_before_the_start_is_red_from_the_start(gateway: Gateway) -> None:
    gateway.stop()
    damage(gateway, "log.db")
    gateway.launch()

    def asked() -> int:
        try:
            return gateway.get("/readyz").status
        except OSError:
            return 0

    assert wait_for("it answers", asked) == 503
    put_aside(gateway, "log.db")
    wait_for("it is ready", lambda: gateway.get("/readyz").status == 200)
    assert send(gateway, 700).status == 200


def test_a_damaged_ledger_stops_no_intake(gateway: Gateway) -> None:
    damage(gateway, "ledger.db")
    assert [send(gateway, number).status for number in range(300, 320)] == [200] * 20
    assert gateway.get("/readyz").status == 200
    wait_for("it is said", lambda: gateway.get("/health").json["status"] == "degraded")


def test_a_damaged_state_stops_no_intake(gateway: Gateway) -> None:
    damage(gateway, "state.db")
    assert [send(gateway, number).status for number in range(400, 420)] == [200] * 20
    assert gateway.get("/readyz").status == 200
    wait_for("it is said", lambda: gateway.get("/health").json["status"] == "degraded")
