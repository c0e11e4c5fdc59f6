"""`events`, `event show`, `deliveries`, `dead`, `rejected`: what a person asks the ledger."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from comporta import i18n
from comporta.cli.following import LOOK_BACK_MS, Follower
from comporta.cli.run import run
from comporta.domain import ids
from comporta.domain.delivery import DeliveryState
from comporta.ledger.port import EventFilter, EventRow
from comporta.state.port import Rejected

AT_MS = 1_795_500_000_000
EVENT = 12_345_678_901_234
DELIVERY = 12_345_678_909_999
EVT = ids.show("evt", EVENT)
DLV = ids.show("dlv", DELIVERY)


def test_events_show_names_and_local_times_as_aligned_text_when_piped(comporta: Any) -> None:
    heading, line = comporta("events").out.splitlines()
    assert EVT in line
    assert "loja-sp" in line
    assert "2026-11-24 03:00:00" in line  # São Paulo is three hours behind UTC
    assert heading.index("INSTANCE") == line.index("loja-sp")


def test_events_as_json_is_one_array_with_stable_keys_and_utc_times(comporta: Any) -> None:
    (event,) = comporta("events", "--json").data
    assert event == {
        "id": EVT,
        "accepted_at": "2026-11-24T06:00:00.000Z",
        "instance": "loja-sp",
        "source": "conta",
        "event_type": "message_created",
        "subject": "conversation:12",
        "account_id": 1,
        "verified": True,
        "body_bytes": 34,
        "deliveries": 1,
        "duplicate_of": None,
    }


def test_every_filter_of_events_reaches_the_ledger(comporta: Any, stores: Any) -> None:
    ran = comporta(
        *("events", "--instance", "loja-sp", "--type", "message_created"),
        *("--conversation", "12", "--since", "2026-11-24T00:00-03:00", "--limit", "7"),
    )
    assert ran.code == 0
    since = 1_795_489_200_000
    assert stores.ledger.asked == [EventFilter("ins_1", "message_created", 12, since, None, 7)]


def test_an_unknown_instance_is_not_found_and_a_near_name_is_proposed(comporta: Any) -> None:
    ran = comporta("events", "--instance", "loja-sq")
    assert ran.code == 3
    assert ran.out == ""
    assert 'Did you mean "loja-sp"?' in ran.err


def test_no_events_leave_standard_output_empty_and_say_so_beside_it(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.rows = []
    assert comporta("events")[1:] == ("", "No events.\n")
    assert comporta("events", "--json").data == []


def test_control_characters_of_a_webhook_never_reach_the_terminal(
    comporta: Any, stores: Any
) -> None:
    stores.ledger.rows = [stores.ledger.event_row(event_type="evil\x1b[2Jtype\n")]
    out = comporta("events").out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2


def test_an_event_is_shown_with_its_deliveries_and_every_attempt(comporta: Any) -> None:
    out = comporta("event", "show", EVT).out
    assert "accepted" in out
    assert f"delivery {DLV} to crm: scheduled (connection refused)" in out
    assert "attempt 1: HTTP 503, 12.5 ms  busy" in out
    assert "attempt 2: connection refused, 3 ms" in out
    assert '  "event": "message_created",' in out


def test_an_event_as_json_tells_the_same_story(comporta: Any) -> None:
    story = comporta("event", "show", EVT, "--json").data
    assert story["timeline"][0]["id"] == DLV
    assert [one["status"] for one in story["timeline"][0]["tries"]] == [503, None]
    assert story["headers"] == {"x-chatwoot-delivery": "d-1"}


def test_the_body_comes_out_byte_for_byte(
    opener: Any, stores: Any, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    stores.ledger.body = b'{"odd": "\xff\x00\x1b", \r\n "x":1}'
    assert run(["event", "show", EVT, "--body"], opener) == 0
    assert capsysbinary.readouterr().out == stores.ledger.body


def test_a_body_that_retention_took_is_not_found(comporta: Any, stores: Any) -> None:
    stores.ledger.body = None
    ran = comporta("event", "show", EVT, "--body")
    assert ran.code == 3
    assert "retention" in ran.err
    assert "retention" in comporta("event", "show", EVT).out


def test_an_event_that_does_not_exist_is_not_found(comporta: Any) -> None:
    ran = comporta("event", "show", ids.show("evt", 1))
    assert (ran.code, "There is no event" in ran.err) == (3, True)


def test_something_that_is_no_event_id_is_a_usage_error_that_says_where_to_get_one(
    comporta: Any,
) -> None:
    ran = comporta("event", "show", DLV)
    assert ran.code == 2
    assert "comporta events" in ran.err


def test_an_event_without_deliveries_says_why(comporta: Any, stores: Any) -> None:
    stores.ledger.owed = []
    assert "no route matched" in comporta("event", "show", EVT).out


@pytest.mark.parametrize(("language", "said"), [("en", "duplicate of"), ("pt_BR", "repetição de")])
def test_a_repeat_says_of_which_event_in_the_list_and_by_itself(
    comporta: Any, stores: Any, language: str, said: str
) -> None:
    stores.ledger.owed = []
    stores.ledger.rows = [stores.ledger.event_row(duplicate_of=5)]
    i18n.use(language)
    first = ids.show("evt", 5)
    assert f"{said} {first}." in comporta("event", "show", EVT).out
    heading, line = comporta("events").out.splitlines()
    assert heading.index(said.upper()) == line.index(first)


def test_every_filter_of_deliveries_reaches_the_ledger(comporta: Any, stores: Any) -> None:
    comporta(
        *("deliveries", "--state", "dead", "--destination", "crm", "--instance", "loja-sp"),
        *("--event", EVT, "--limit", "9"),
    )
    (which,) = stores.ledger.asked
    assert (which.state, which.destination_id, which.instance_id) == ("dead", "dst_1", "ins_1")
    assert (which.event_id, which.limit) == (EVENT, 9)


def test_dead_letters_come_with_their_reason(comporta: Any, stores: Any) -> None:
    stores.ledger.owed = [stores.ledger.delivery_row(state=DeliveryState.DEAD, reason="HTTP 500")]
    (letter,) = comporta("dead", "--json").data
    assert (letter["state"], letter["reason"], letter["destination"]) == ("dead", "HTTP 500", "crm")
    assert stores.ledger.asked[0].state is DeliveryState.DEAD


def test_refused_requests_come_with_reason_and_headers(comporta: Any, stores: Any) -> None:
    stores.state.refused = [
        Rejected(AT_MS, 401, "signature wrong", "POST", "/webhook/…", "10.0.0.9", "src_1",
                 (("user-agent", "Ruby"),), 120, 4)
    ]  # fmt: skip
    assert "signature wrong" in comporta("rejected").out
    (refused,) = comporta("rejected", "--json").data
    assert refused["headers"] == {"user-agent": "Ruby"}
    assert refused["source"] == "loja-sp/conta"


def test_a_follower_shows_each_event_once_even_one_with_a_smaller_id_than_the_last(
    stores: Any,
) -> None:
    ledger = stores.ledger
    base = ids.first_at(AT_MS)
    ledger.rows = [ledger.event_row(base + 1000)]
    follower = Follower(ledger, EventFilter(since_ms=AT_MS))

    async def story() -> list[list[int]]:
        seen = [[row.id - base for row in await follower.fresh()]]
        ledger.rows.append(ledger.event_row(base + 500, accepted_at_ms=AT_MS + 3))
        seen.append([row.id - base for row in await follower.fresh()])
        seen.append([row.id - base for row in await follower.fresh()])
        return seen

    assert asyncio.run(story()) == [[1000], [500], []]


def test_a_follower_reads_a_burst_of_several_pages_and_its_memory_stays_bounded(
    stores: Any,
) -> None:
    ledger = stores.ledger
    follower = Follower(ledger, EventFilter(since_ms=AT_MS))

    def burst(start_ms: int) -> list[EventRow]:
        moments = range(start_ms, start_ms + 1200)
        return [ledger.event_row(ids.first_at(at), accepted_at_ms=at) for at in moments]

    async def story() -> tuple[int, int]:
        ledger.rows = burst(AT_MS)
        first = len(await follower.fresh())
        ledger.rows = burst(AT_MS + 10 * LOOK_BACK_MS)
        return first, len(await follower.fresh())

    assert asyncio.run(story()) == (1200, 1200)
    assert len(follower._seen) <= 1200


def test_one_line_of_a_followed_list_is_one_json_object(
    comporta: Any, stores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stop(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("comporta.cli.events.asyncio.sleep", stop)
    now_ms = time.time_ns() // 1_000_000
    rows = [stores.ledger.event_row(EVENT + n, accepted_at_ms=now_ms + 5000) for n in (0, 1)]
    stores.ledger.rows = rows
    ran = comporta("events", "--follow", "--json")
    assert ran.code == 130
    assert [msgspec.json.decode(line)["id"] for line in ran.out.splitlines()] == [
        EVT,
        ids.show("evt", EVENT + 1),
    ]
