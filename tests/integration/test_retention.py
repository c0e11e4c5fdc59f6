"""A running gateway forgets what is older than its limits, and tells how its files grow."""

import time
from pathlib import Path

from tests.integration.conftest import FLEET, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

from comporta.ledger.port import EventFilter
from comporta.ledger.retention import DAY_MS
from comporta.stores import Stores
from comporta.testing.conformance.ledger_stage import DEAD, DELIVERED, new_event, outcome


async def fill(stores: Stores) -> None:
    """Events of a hundred days ago and of eight days ago, half of them with dead letters."""
    await stores.ledger.claim(0, 1)
    for days, first in ((100, 1), (8, 21)):
        at_ms = time.time_ns() // 1_000_000 - days * DAY_MS
        events = [new_event(first + n) for n in range(20)]
        made = (await stores.ledger.record({0: 1}, events, at_ms)).deliveries
        results = [outcome(one, DELIVERED if n % 2 else DEAD) for n, one in enumerate(made)]
        await stores.ledger.settle({0: 1}, results, at_ms)


async def bodies(stores: Stores) -> int:
    rows = await stores.ledger.events(EventFilter(limit=100))
    details = [await stores.ledger.event(row.id) for row in rows]
    return sum(one is not None and one.body is not None for one in details)


def test_old_bodies_events_and_dead_letters_go_each_at_their_time(tmp_path: Path) -> None:
    with Receiver() as crm:
        gateway = Gateway(tmp_path, FLEET.replace("URL", crm.url))
        gateway.ask(fill)
        with gateway:
            # A hundred days old: gone, the dead letters of it on record. Eight days old: the
            # bodies of what was delivered are gone, dead letters have theirs.
            wait_for("old events are gone", lambda: len(gateway.command("events")) == 20, 40)
            wait_for("old bodies are gone", lambda: gateway.ask(bodies) == 10)
            assert len(gateway.command("dead")) == 10
            (gone,) = (one for one in gateway.command("audit") if one["who"] == "retention")
            assert (gone["what"], gone["count"]) == ("discard", 10)
            assert gateway.command("redrive", "--all", "--yes")["redriven"] == 10
            # And what comes in meanwhile is delivered.
            body = b'{"event":"message_created","id":1}'
            assert gateway.post(f"/webhook/{TOKEN}", body).status == 200
            wait_for("it arrives", lambda: body in crm.bodies())
            metrics = gateway.metrics()
            assert metrics["comporta_stored_bytes"] > 100_000
            assert metrics["comporta_disk_free_bytes"] > 0
            assert "comporta_stored_growth_bytes" not in metrics, "not enough yet"
            health = gateway.get("/health").json
            assert health["stored_bytes"] == metrics["comporta_stored_bytes"]
            assert health["days_left"] is None
        assert "Traceback" not in gateway.log
