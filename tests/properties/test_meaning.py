"""What makes an event the same one as another: on every sample body, leaf by leaf."""

import copy
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import comporta.testing
from comporta.chatwoot.meaning import meaning_of
from comporta.domain.dedupe import keys_of
from comporta.testing.bodies import rails_json

PAYLOADS = Path(comporta.testing.__file__).parent / "payloads"
SAMPLES = {
    path.stem: json.loads(path.read_bytes())
    for path in sorted(PAYLOADS.rglob("*.json"))
    if path.name not in {"INDEX.json", "signature_vectors.json"}
}
BY_BODY = ("account_created", "inbox_created", "inbox_updated")
ACTS = ("conversation_typing_on", "conversation_typing_off", "macro.executed")
READ = {
    name: sample for name, sample in SAMPLES.items() if sample["event"] not in (*BY_BODY, *ACTS)
}
READ_NAMES = sorted(READ)
Place = tuple[str | int, ...]

MOVES_BY_ITSELF = {
    "message": {"conversation", "account", "inbox"},
    "conversation": {
        *("messages", "contact_inbox", "account", "unread_count", "can_reply", "timestamp"),
        *("last_activity_at", "agent_last_seen_at", "contact_last_seen_at"),
    },
    "contact": {"account"},
    "webwidget": {"account", "contact", "inbox", "current_conversation"},
}
WHO = ("sender", "assignee", "team")


def counts(  # noqa: PLR0911  (a table of places, in order)
    sample: dict[str, Any], place: Place
) -> bool:
    """What the page on guarantees says: whether another value there makes another event."""
    event = sample["event"]
    kind = event.partition("_")[0]
    first = place[0]
    newest = place[:2] == ("conversation", "messages")
    if event == "message_updated" and newest:
        return place[-1] in {"id", "status", "updated_at"} and len(place) == 4
    if event.startswith("message_") and event != "message_updated":
        if first == "source_id":
            return False
        if first == "attachments":
            return place[-1] == "id"
    if event == "conversation_created" and (first == "messages" or place == ("updated_at",)):
        return place == ("messages",) or (place[-1] == "id" and len(place) == 3)
    if place == ("updated_at",) and kind == "conversation":
        return not sample.get("changed_attributes")
    if first == "sender" or (first == "meta" and place[1] in WHO):
        who = place[2:] if first == "meta" else place[1:]
        return who in {(), ("id",), ("type",)}
    return first not in MOVES_BY_ITSELF[kind]


def leaves(value: Any, place: Place = ()) -> list[Place]:
    """Where a sample has something that is no object and no list; or an empty one of these."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, one in inner:
        if isinstance(one, (dict, list)) and one:
            found += leaves(one, (*place, key))
        else:
            found.append((*place, key))
    return found


def changed(sample: dict[str, Any], place: Place, value: Any) -> dict[str, Any]:
    other = copy.deepcopy(sample)
    inner: Any = other
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return other


def other_value(old: Any) -> Any:
    if isinstance(old, bool):
        return not old
    if isinstance(old, (int, float)):
        return old + 1
    return f"{old}!" if isinstance(old, str) else 7


def value_at(sample: Any, place: Place) -> Any:
    for step in place:
        sample = sample[step]
    return sample


def repeats(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether they are the same event, sent by one source under two delivery ids."""
    keys = [
        set(keys_of("src_1", value["event"], delivery, meaning(value)))
        for value, delivery in ((one, "a"), (other, "b"))
    ]
    return bool(keys[0] & keys[1])


def meaning(value: dict[str, Any]) -> bytes | None:
    return meaning_of(value["event"], rails_json(value))


@pytest.mark.parametrize("name", READ_NAMES)
def test_each_leaf_of_a_body_counts_unless_it_is_known_to_move_by_itself(name: str) -> None:
    sample = READ[name]
    assert repeats(sample, sample) == (meaning(sample) is not None)
    for place in leaves(sample):
        if place == ("event",):
            continue
        other = changed(sample, place, other_value(value_at(sample, place)))
        expected = meaning(sample) is not None and not counts(sample, place)
        assert repeats(sample, other) == expected, place


@pytest.mark.parametrize("name", READ_NAMES)
def test_a_key_that_nobody_knows_yet_counts(name: str) -> None:
    sample = READ[name]
    assert not repeats(sample, {**sample, "performed_by": {"id": 7}})


@given(st.sampled_from(READ_NAMES), st.randoms(use_true_random=False), st.integers(0, 3))
def test_order_of_keys_spaces_and_escapes_make_no_difference(
    name: str, chance: random.Random, spaces: int
) -> None:
    sample = READ[name]
    text = json.dumps(shuffled(sample, chance), indent=spaces or None, ensure_ascii=spaces == 2)
    assert meaning_of(sample["event"], text.encode()) == meaning(sample)


def shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, list):
        return [shuffled(one, chance) for one in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    chance.shuffle(keys)
    return {key: shuffled(value[key], chance) for key in keys}


@given(
    st.sampled_from([name for name in READ_NAMES if READ[name]["event"].startswith("message_")]),
    st.integers(0, 2**32),
    st.integers(0, 10),
    st.floats(1.7e9, 1.9e9),
)
def test_a_message_is_the_same_though_its_conversation_has_moved_on(
    name: str, seen_at: int, unread: int, updated_at: float
) -> None:
    sample = READ[name]
    moved = copy.deepcopy(sample)
    moved["conversation"] |= {
        "unread_count": unread,
        "updated_at": updated_at,
        "agent_last_seen_at": seen_at,
        "last_activity_at": seen_at,
        "timestamp": seen_at,
        "waiting_since": seen_at,
    }
    assert repeats(sample, moved) == (meaning(sample) is not None)


states = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["open", "resolved", "pending", "snoozed"]),
        "labels": st.lists(st.sampled_from(["vip", "entrega"]), max_size=2),
        "priority": st.sampled_from([None, "low", "urgent"]),
        "custom_attributes": st.dictionaries(st.just("pedido"), st.integers(0, 1), max_size=1),
        "snoozed_until": st.sampled_from([None, "2026-08-24T14:04:06.700Z"]),
    },
)


@given(
    st.sampled_from(
        ["conversation_updated", "conversation_status_changed", "agent_bot.conversation_opened"]
    ),
    st.lists(states, min_size=2, max_size=6),
)
def test_no_two_changes_of_a_conversation_are_one_even_if_it_goes_back_and_forth(
    name: str, story: list[dict[str, Any]]
) -> None:
    events = []
    for number, state in enumerate(story):
        event = copy.deepcopy(READ[name]) | state | {"updated_at": 1787580246.7 + number}
        if event.get("changed_attributes"):
            saved = {"previous_value": number, "current_value": f"2026-08-24T14:04:{number:02}Z"}
            event["changed_attributes"] = [{"updated_at": saved}]
        events.append(event)
    for one, other in itertools.combinations(events, 2):
        assert not repeats(one, other)


@given(st.lists(st.sampled_from(["sent", "delivered", "failed"]), min_size=2, max_size=6))
def test_a_message_that_fails_is_tried_again_and_fails_alike_is_told_each_time(
    story: list[str],
) -> None:
    events = []
    for number, status in enumerate(story):
        event = copy.deepcopy(READ["message_updated"])
        newest = event["conversation"]["messages"][0]
        newest |= {"status": status, "updated_at": f"2026-08-24T14:04:{number:02}.000Z"}
        events.append(event)
    for one, other in itertools.combinations(events, 2):
        assert not repeats(one, other)


def test_two_receipts_of_an_older_message_look_alike_and_both_count() -> None:
    receipt = copy.deepcopy(READ["message_updated"])
    receipt["conversation"]["messages"][0]["id"] += 1
    assert meaning(receipt) is None
    undated = copy.deepcopy(READ["message_updated"])
    undated["conversation"]["messages"][0]["updated_at"] = None
    assert meaning(undated) is None
    dated = receipt | {"updated_at": "2026-08-24T14:04:19.290Z"}
    assert repeats(dated, dated)
    assert not repeats(dated, receipt)


@pytest.mark.parametrize(
    ("name", "without"),
    [
        ("conversation_status_changed", ("updated_at",)),
        ("agent_bot.conversation_resolved", ("updated_at",)),
        ("contact_updated", ("changed_attributes",)),
        ("webwidget_triggered", ("event_info",)),
    ],
)
def test_a_change_without_an_instant_is_never_taken_for_a_repeat(
    name: str, without: tuple[str, ...]
) -> None:
    event = {key: value for key, value in READ[name].items() if key not in without}
    assert meaning(event) is None


@pytest.mark.parametrize("name", [name for name in SAMPLES if SAMPLES[name]["event"] in ACTS])
def test_typing_and_macros_are_acts_and_no_act_repeats_another(name: str) -> None:
    assert meaning(SAMPLES[name]) is None
    assert meaning_of("automation_event.message_created", b"{}") is None


@pytest.mark.parametrize("name", [name for name in SAMPLES if SAMPLES[name]["event"] in BY_BODY])
def test_what_has_no_number_or_no_known_shape_is_known_by_its_body(name: str) -> None:
    assert meaning(SAMPLES[name]) == rails_json(SAMPLES[name])


numbers = st.none() | st.booleans() | st.text() | st.floats() | st.integers(max_value=-1)


@given(st.sampled_from(READ_NAMES), numbers)
def test_a_body_without_a_number_is_known_by_its_bytes(name: str, number: Any) -> None:
    if isinstance(number, float) and number.is_integer():
        return  # 1.0 is a number as well
    sample = READ[name] | {"id": number}
    body = json.dumps(sample).encode()
    assert meaning_of(sample["event"], body) == body


@pytest.mark.parametrize("name", ["message_created", "conversation_created"])
@pytest.mark.parametrize("made", [{}, {"created_at": None}])
def test_what_was_made_at_no_instant_is_no_shape_of_chatwoot(
    name: str, made: dict[str, None]
) -> None:
    sample = {key: one for key, one in READ[name].items() if key != "created_at"} | made
    assert meaning(sample) == rails_json(sample)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.sampled_from(READ_NAMES), st.data(), json_values)
def test_odd_shapes_never_raise(name: str, data: st.DataObject, value: Any) -> None:
    sample = READ[name]
    place = data.draw(st.sampled_from(leaves(sample)))
    depth = data.draw(st.integers(1, len(place)))
    body = json.dumps(changed(sample, place[:depth], value)).encode()
    found = meaning_of(sample["event"], body)
    assert found is None or found == body or found.startswith(b"[")


@given(st.sampled_from(READ_NAMES), st.binary())
def test_whatever_is_no_object_is_known_by_its_bytes(name: str, body: bytes) -> None:
    assert meaning_of(READ[name]["event"], body) == body


@pytest.mark.parametrize("deep", [10, 100_000])
def test_a_body_of_any_depth_is_read_or_known_by_its_bytes(deep: int) -> None:
    nested = b"[" * deep + b"]" * deep
    body = b'{"id":1,"created_at":"2026","content_attributes":{"data":%b}}' % nested
    found = meaning_of("message_created", body)
    assert found is not None
    assert (found == body) == (deep > 10)
