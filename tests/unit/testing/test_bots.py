"""`deliver`, for users' own tests: it chooses, decodes and ends as the gateway does."""

import asyncio
import json

import pytest

from comporta import Context, Drop, Gateway, MessageCreated, Retry
from comporta.chatwoot.peek import NotAnObjectError
from comporta.errors import NotFoundError
from comporta.testing import Outcome, deliver, sample

gateway = Gateway()
contexts: list[Context] = []


@gateway.on("message_created", instance="loja-*", where={"message_type": "incoming"}, timeout_s=0.1)
async def answer(event: MessageCreated) -> None:
    match event.content:
        case "later":
            raise Retry.after(30, "busy")
        case "spam":
            raise Drop("it is spam")
        case "broken":
            raise ValueError("no such order")
        case "offline":
            raise ConnectionRefusedError
        case "slow":
            await asyncio.Event().wait()


@gateway.on("*")
async def watch(_event: bytes, context: Context) -> None:
    contexts.append(context)


def outcome(content: str) -> Outcome:
    body = sample("message_created") | {"content": content}
    return deliver(gateway, body, instance="loja-sp")["answer"]


def test_what_a_handler_did_is_told() -> None:
    assert outcome("hello") == Outcome("done")
    assert outcome("later") == Outcome("retry", "busy", 30.0)
    assert outcome("spam") == Outcome("dropped", "it is spam")
    assert outcome("slow").ending == "retry"
    assert outcome("offline").ending == "retry"


def test_what_a_handler_raised_is_handed_over() -> None:
    failed = outcome("broken")
    assert failed.ending == "failed"
    assert isinstance(failed.exception, ValueError)
    assert failed.reason == "ValueError: no such order"


@pytest.mark.parametrize(
    ("event", "instance", "matched"),
    [
        ("message_created", "loja-sp", ["answer", "watch"]),
        ("message_created", "hotel", ["watch"]),
        ("message_created.account.outgoing_agent", "loja-sp", ["watch"]),
        ("contact_created", "loja-sp", ["watch"]),
        (b'{"event":"of a fork"}', "loja-sp", ["watch"]),
    ],
)
def test_the_handlers_that_match_are_told_in_order(
    event: str | bytes, instance: str, matched: list[str]
) -> None:
    assert list(deliver(gateway, event, instance=instance)) == matched


def test_a_second_attempt_at_the_same_body_has_the_same_delivery_id() -> None:
    del contexts[:]
    deliver(gateway, "message_created")
    deliver(gateway, "message_created", attempt=2)
    deliver(gateway, "message_updated")
    first, second, other = contexts
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.delivery_id == second.delivery_id != other.delivery_id
    assert json.loads(first.body) == sample("message_created")


@pytest.mark.parametrize("name", ["mesage_created", "../bodies", "raw/message_created", ""])
def test_a_sample_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(NotFoundError, match="no sample"):
        sample(name)


def test_what_no_gateway_takes_in_is_not_delivered() -> None:
    with pytest.raises(NotAnObjectError):
        deliver(gateway, b"[]")
