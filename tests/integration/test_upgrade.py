"""A gateway of today on a ledger of schema 1: what was owed is owed, and delivered in order."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

from comporta.domain.fleet import Fleet
from comporta.domain.partitioning import BULK
from comporta.ledger.port import DeliveryFilter

TOKEN = "token-of-the-first-shop"
OLD = Path(__file__).parent / "ledger_of_schema_1.sql"
FLEET = f"""
[[instance]]
name = "loja-1"
[[instance.source]]
name = "conta"
kind = "account"
token = "{TOKEN}"
[[destination]]
name = "crm"
url = "URL/crm"
[[destination]]
name = "bot"
url = "URL/bot"
[[route]]
name = "all"
to = ["crm"]
[[route]]
name = "bots"
to = ["bot"]
"""
DAYS = {f"keep_{kind}_days": 3650 for kind in ("bodies", "attempts", "events", "dead")}
"""The old events are of a fixed day: they shall not be forgotten in the middle of the test."""


class House:
    """A gateway that was started on the old ledger, and its destinations."""

    def __init__(self, gateway: Gateway, receiver: Receiver) -> None:
        self.gateway, self.receiver = gateway, receiver

    def numbers(self, path: str) -> list[int]:
        return [msgspec.json.decode(body)["n"] for body in self.receiver.bodies(path)]

    def fleet(self) -> Fleet:
        return self.gateway.ask(lambda stores: stores.ledger.fleet())


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("upgrade")
    with Receiver() as receiver:
        data = folder / "data"
        data.mkdir(mode=0o700)
        old = apsw.Connection(str(data / "ledger.db"))
        old.execute(OLD.read_text().replace("URL", receiver.url))
        old.close()
        with Gateway(folder, FLEET.replace("URL", receiver.url), data=data, **DAYS) as gateway:
            yield House(gateway, receiver)
        assert "Traceback" not in gateway.log


def test_an_upgrade_delivers_what_was_open_in_order_and_what_comes_after_it(house: House) -> None:
    event = {"event": "message_created", "id": 1, "n": 6, "conversation": {"id": 12}}
    body = msgspec.json.encode(event | {"account": {"id": 1}})
    assert house.gateway.post(f"/webhook/{TOKEN}", body).status == 200
    wait_for("all that was open is there", lambda: len(house.numbers("/crm")) >= 4)
    assert house.numbers("/crm") == [3, 4, 5, 6]


def test_after_an_upgrade_all_of_a_conversation_is_still_one_live_lane(house: House) -> None:
    """Bit 62 marks bulk lanes since then, and half of the old numbers had it."""
    with apsw.Connection(str(house.gateway.data / "ledger.db")) as ledger:
        marked = ledger.execute(
            "SELECT count(*) FROM deliveries WHERE lane & ? AND state IN ('pending', 'scheduled')",
            (BULK,),
        )
        assert next(marked)[0] == 0
        lanes = ledger.execute("SELECT DISTINCT lane & ~? FROM deliveries", (BULK,))
        assert len(list(lanes)) == 1


def test_an_upgrade_keeps_a_disabled_destination_paused_until_it_is_resumed(house: House) -> None:
    bot = next(one for one in house.fleet().destinations if one.name == "bot")
    assert bot.paused == "answered 410 Gone"
    assert house.numbers("/bot") == []
    house.gateway.command("destination", "resume", "bot")
    wait_for("all that waited is there", lambda: len(house.numbers("/bot")) >= 6)
    assert house.numbers("/bot") == [1, 2, 3, 4, 5, 6]


def test_a_dead_letter_from_before_an_upgrade_can_be_redriven(house: House) -> None:
    dead = house.gateway.ask(lambda s: s.ledger.deliveries(DeliveryFilter()))
    assert [one.reason for one in dead if one.state == "dead"] == ["HTTP 500"]
    house.gateway.command("redrive", "--destination", "crm", "--yes")
    wait_for("it is there", lambda: 2 in house.numbers("/crm"))
