"""Registering handlers: what is taken, what is refused, and what it comes to in the fleet."""

import re
from typing import Any

import msgspec
import pytest

from comporta import Context, Gateway, MessageCreated, Typing
from comporta.errors import ConfigError
from comporta.handlers.registry import CONCURRENCY_MAX, HANDLERS_MAX


class Order(msgspec.Struct):
    id: int


def test_a_handler_is_a_destination_of_its_name_and_a_route_to_it() -> None:
    gateway = Gateway()

    @gateway.on(
        "message_*",
        "message_created",
        instance=["loja-sp", "hotel-*"],
        where={"inbox_id": [1, 2], "private": False},
        timeout_s=3,
        concurrency=8,
    )
    async def answer(event: MessageCreated) -> None: ...

    (handler,) = gateway.handlers
    destination, route = handler.destination("dst_1"), handler.route("rte_1")
    assert (destination.name, destination.url) == ("answer", "handler:answer")
    assert (destination.timeout_s, destination.concurrency) == (3, 8)
    assert destination.managed == "handlers"
    assert (route.to, route.managed) == (("answer",), "handlers")
    assert route.instances == ("loja-sp", "hotel-*")
    assert route.events == ("message_*", "message_created")
    assert route.where == {"inbox_id": (1, 2), "private": (False,)}


def test_the_function_stays_what_it_was() -> None:
    gateway = Gateway()

    async def answer(event: dict[str, Any]) -> None: ...

    assert gateway.on("message_created")(answer) is answer


async def nothing(event) -> None: ...  # type: ignore[no-untyped-def]
async def bare(event: Order, context: Context) -> None: ...
async def with_default(event: bytes, times: int = 3) -> None: ...


@pytest.mark.parametrize(
    ("function", "takes_context"), [(nothing, False), (bare, True), (with_default, False)]
)
def test_the_context_is_given_to_who_asks_for_it(function: Any, takes_context: bool) -> None:
    gateway = Gateway()
    gateway.on("message_created", name="a")(function)
    assert gateway.handlers[0].takes_context is takes_context


def plain(event): ...  # type: ignore[no-untyped-def]
async def generator(event: bytes):  # type: ignore[no-untyped-def]
    yield event


async def no_event() -> None: ...
async def three(event: bytes, context: Context, more: int) -> None: ...
async def keyword(event: bytes, *, more: int) -> None: ...
async def rest(*events: bytes) -> None: ...
async def other_second(event: bytes, delivery: str) -> None: ...
async def number(event: int) -> None: ...
async def unknown(event: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (plain, "write async def"),
        (generator, "write async def"),
        (no_event, "takes the event"),
        (three, "takes the event"),
        (keyword, "takes the event"),
        (rest, "takes the event"),
        (other_second, "annotate it with Context"),
        (number, "not with int"),
        (unknown, "'Nowhere' is not defined"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_function_that_cannot_be_a_handler_is_refused_at_its_place(
    function: Any, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        Gateway().on("message_created")(function)
    assert re.match(rf"{__file__}:\d+: ", str(refused.value))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"where": {"mesage_type": "incoming"}}, 'Did you mean "message_type"'),
        ({"where": {"private": "no"}}, "true or false"),
        ({"where": {"private": None}}, "true or false"),
        ({"where": {"inbox_id": []}}, "empty"),
        ({"name": "Resposta Automática"}, 'Did you mean "resposta-automatica"'),
        ({"instance": "Loja SP"}, "not a name"),
        ({"instance": "Loja*"}, "pattern"),
        ({"instance": ()}, "empty"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": 121}, "timeout_s"),
        ({"concurrency": -1}, "concurrency"),
        ({"concurrency": CONCURRENCY_MAX + 1}, "concurrency"),
    ],
)
def test_what_no_fleet_file_may_say_no_handler_may_say(words: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Gateway().on("message_created", **words)(bare)


def test_a_handler_says_which_events_it_is_for() -> None:
    with pytest.raises(ConfigError, match="which events"):
        Gateway().on()(bare)


async def message(event: MessageCreated) -> None: ...
async def typing(event: Typing) -> None: ...


@pytest.mark.parametrize(
    ("function", "event"),
    [(message, "conversation_created"), (typing, "conversation_updated"), (message, "macro.x")],
)
def test_an_event_that_would_only_seem_to_fit_is_refused(function: Any, event: str) -> None:
    with pytest.raises(ConfigError, match=f"{event} is not what"):
        Gateway().on(event)(function)


def test_what_a_fork_calls_a_message_and_what_a_pattern_stands_for_may_be_one() -> None:
    Gateway().on("message_incoming", "*")(message)


def test_two_handlers_have_two_names() -> None:
    gateway = Gateway()
    gateway.on("message_created")(bare)
    with pytest.raises(ConfigError, match="another name"):
        gateway.on("contact_created")(bare)
    gateway.on("contact_created", name="other")(bare)
    assert [one.name for one in gateway.handlers] == ["bare", "other"]


def test_there_are_so_many_handlers_and_no_more() -> None:
    gateway = Gateway()
    for n in range(HANDLERS_MAX):
        gateway.on("message_created", name=f"h{n}")(bare)
    with pytest.raises(ConfigError, match=f"at most {HANDLERS_MAX}"):
        gateway.on("message_created", name="one-more")(bare)
