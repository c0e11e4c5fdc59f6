"""The same thing said twice, through a running gateway: it arrives once, what changed arrives."""

import copy
import itertools
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from tests.integration.conftest import API_TOKEN, TOKEN
from tests.integration.receiver import Receiver
from tests.support.gateway import Gateway, wait_for

from comporta.domain import ids
from comporta.ledger.port import EventFilter
from comporta.testing.bodies import rails_json

Send = Callable[..., list[bytes]]
_numbers = itertools.count(910_000)
_deliveries = (f"00000000-0000-4000-8000-{number:012}" for number in itertools.count())


def sample(name: str) -> dict[str, Any]:
    """A sample body, of a conversation and a message of its own."""
    file = resources.files("comporta.testing") / "payloads" / f"{name}.json"
    body: dict[str, Any] = json.loads(file.read_bytes())
    body["id"] = next(_numbers)
    if "conversation" in body:
        body["conversation"]["id"] = next(_numbers)
    return body


def moved_on(body: dict[str, Any]) -> dict[str, Any]:
    """The same event, built again after the conversation had got another message."""
    later = copy.deepcopy(body)
    talk = later.get("conversation", later)
    talk |= {"unread_count": 9, "last_activity_at": 1787580999, "updated_at": 1787580999.25}
    talk["messages"] = []
    return later


@pytest.fixture
def send(gateway: Gateway, crm: Receiver) -> Send:
    """Sends bodies, each under a delivery id of its own; says which arrived, in order."""

    def run(*bodies: dict[str, Any], tokens: tuple[str, ...] = (TOKEN,)) -> list[bytes]:
        first = bodies[0]
        talk = {"id": first.get("conversation", first)["id"]}
        # Of the same conversation, so that it arrives after all that did.
        last = {"event": "message_created", "account": {"id": 3}, "conversation": talk}
        before = len(crm.bodies())
        for token, body in [*itertools.product(tokens, bodies), (tokens[-1], last)]:
            headers = {"X-Chatwoot-Delivery": next(_deliveries)}
            assert gateway.post(f"/webhook/{token}", rails_json(body), headers).status == 200
        wait_for("the last one arrives", lambda: rails_json(last) in crm.bodies())
        return crm.bodies()[before:-1]

    return run


def test_a_message_under_two_delivery_ids_arrives_once_and_arrives_again_when_edited(
    gateway: Gateway, send: Send
) -> None:
    body = sample("message_created")
    edited = body | {"content": "Oi! Vocês entregam no sábado?"}
    assert send(body, moved_on(body), edited) == [rails_json(body), rails_json(edited)]
    talk = body["conversation"]["id"]
    rows = gateway.ask(lambda stores: stores.ledger.events(EventFilter(conversation_id=talk)))
    _last, again, repeat, first = rows
    assert [row.duplicate_of for row in (first, repeat, again)] == [None, first.id, None]
    shown = gateway.command("event", "show", ids.show("evt", repeat.id))
    assert shown["duplicate_of"] == ids.show("evt", first.id)


def test_a_label_set_once_arrives_once_though_chatwoot_tells_it_twice(send: Send) -> None:
    body = sample("conversation_updated.account.labels")
    assert send(body, moved_on(body)) == [rails_json(body)]


def test_a_conversation_resolved_opened_and_resolved_again_is_told_each_time(send: Send) -> None:
    body = sample("conversation_status_changed")
    story = [
        body | {"status": status, "updated_at": body["updated_at"] + number}
        for number, status in enumerate(["resolved", "open", "resolved"])
    ]
    assert send(*story) == [rails_json(one) for one in story]


def test_the_same_message_by_two_sources_arrives_by_both(send: Send) -> None:
    body = sample("message_created")
    assert send(body, tokens=(TOKEN, API_TOKEN)) == [rails_json(body)] * 2
