"""Servers with a part of the work each, on one data folder; and whom a server believes."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.conftest import FLEET, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import ServedGateway, wait_for

from comporta.telemetry import metric_defs as defs
from comporta.telemetry.scraped import Found, merged, parse

BODY = b'{"event":"message_created","conversation":{"id":%d}}'
TAKE_OVER_S = 10.0


def started(
    stack: ExitStack, folder: Path, name: str, fleet: str, **settings: str
) -> ServedGateway:
    settings |= {"server": name, "data": str(folder / "data")}
    workers = int(settings.pop("workers", "1"))
    one = ServedGateway(folder / name, fleet, workers=workers, **settings)
    stack.push(one.__exit__)
    one.launch()
    wait_for(f"{name} is ready", one.is_ready, 30)
    return one


class Split:
    """One server that takes in, one that delivers, one that forgets."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.crm = stack.enter_context(Receiver())
        fleet = FLEET.replace("URL", self.crm.url)
        self.intake = started(stack, folder, "intake", fleet, roles="ingest,console")
        self.delivery = started(stack, folder, "delivery", fleet, roles="dispatch")
        self.upkeep = started(stack, folder, "upkeep", fleet, roles="maintain")


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Split]:
    with ExitStack() as stack:
        yield Split(stack, tmp_path_factory.mktemp("split"))


def test_what_one_server_takes_in_another_one_delivers(split: Split) -> None:
    assert split.intake.post(f"/webhook/{TOKEN}", BODY % 1).status == 200
    wait_for("it arrives", lambda: BODY % 1 in split.crm.bodies())
    assert split.intake.dispatchers == {}
    assert len(split.delivery.dispatchers) == 1


def test_a_webhook_for_a_server_that_takes_none_in_is_refused_and_listed(split: Split) -> None:
    answer = split.delivery.post(f"/webhook/{TOKEN}", BODY % 2)
    assert answer.status == 421
    assert answer.json["type"] == "/problems/misdirected"
    refused = wait_for("it is listed", lambda: split.intake.command("rejected"))
    assert refused[0]["reason"].startswith("This server takes no webhooks in")


def test_the_admin_api_is_where_the_console_is(split: Split) -> None:
    assert split.intake.get("/api/v1/summary").status == 401
    answer = split.upkeep.get("/api/v1/summary")
    assert (answer.status, answer.json["type"]) == (421, "/problems/no-console")


def test_all_of_them_are_known_by_their_names_and_say_that_all_is_well(split: Split) -> None:
    names = ["delivery", "intake", "upkeep"]
    for one in (split.intake, split.delivery, split.upkeep):

        def known(one: ServedGateway = one) -> list[str]:
            return sorted(worker["server"] for worker in one.get("/health").json["workers"])

        wait_for("all are known", lambda: known() == names)
        assert one.get("/health").json["status"] == "ok"
    shares = split.intake.get("/health").json["workers"]
    assert {one["server"]: one["partitions"] for one in shares}["delivery"] == 16


def test_the_metrics_of_all_servers_make_one_page_in_which_nothing_counts_twice(
    split: Split,
) -> None:
    for number in range(10, 20):
        assert split.intake.post(f"/webhook/{TOKEN}", BODY % number).status == 200

    def pages() -> list[Found]:
        servers = (split.intake, split.delivery, split.upkeep)
        return [parse(one.get("/metrics").body.decode()) for one in servers]

    def settled() -> bool:
        found = merged(pages())
        accepted = sum(sum(values) for values in found[defs.EVENTS_ACCEPTED.name].values())
        delivered = found[defs.DELIVERIES.name].get(("crm", "delivered"))
        recorded = found[defs.EVENTS_RECORDED.name].get(())
        return accepted >= 10 and delivered == recorded == [accepted]

    wait_for("what one has taken in another has delivered", settled)
    shared = (defs.WORKERS, defs.DELIVERIES_PENDING, defs.DELIVERIES_DEAD, defs.BREAKER_STATE)
    found = pages()
    for definition in shared:
        shown = [page[definition.name] for page in found]
        assert shown[0] == shown[1] == shown[2] == merged(found)[definition.name], definition.name
    assert merged(found)[defs.WORKERS.name] == {(): [1.0]}
    assert merged(found)[defs.PARTITIONS_OWNED.name] == {(): [16.0]}


def test_what_one_process_does_for_all_is_taken_over_when_it_dies(tmp_path: Path) -> None:
    with ExitStack() as stack:
        fleet = FLEET.replace("URL", "http://127.0.0.1:9")
        first = started(stack, tmp_path, "first", fleet, roles="maintain,dispatch")
        wait_for("it has the duty", lambda: "duty.taken" in first.log)
        second = started(stack, tmp_path, "second", fleet, roles="maintain", workers="2")
        time.sleep(1)
        assert "duty.taken" not in second.log
        first.kill()
        wait_for("the other has it", lambda: "duty.taken" in second.log, TAKE_OVER_S)
        third = started(stack, tmp_path, "third", fleet, roles="maintain")
        second.stop()
        wait_for("it was given back", lambda: "duty.taken" in third.log, 2)


@pytest.mark.parametrize(
    ("trusted", "said", "peer"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.0/8, 10.0.0.0/8", "198.51.100.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("none", "203.0.113.9", "127.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "127.0.0.1"),
    ],
)
def test_only_a_proxy_that_is_named_is_believed(
    tmp_path: Path, trusted: str, said: str, peer: str
) -> None:
    fleet = FLEET.replace("URL", "http://127.0.0.1:9")
    with ExitStack() as stack:
        one = started(stack, tmp_path, "one", fleet, trusted_proxies=trusted, roles="ingest")
        one.post("/webhook/unknown", BODY % 1, {"X-Forwarded-For": said})
        refused = wait_for("it is listed", lambda: one.command("rejected"))
        assert refused[0]["peer"] == peer
