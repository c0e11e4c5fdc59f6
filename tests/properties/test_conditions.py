"""The laws of conditions, and their cost: what stands in a text never makes them slow."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comporta.domain.conditions import CONDITIONS, ask, compile_condition
from comporta.domain.event import CONTENT_CHARS_MAX, Fields
from comporta.domain.fleet import Scalar
from comporta.domain.patterns import PATTERN_CHARS_MAX, pattern_problem

labels = st.lists(st.sampled_from(["vip", "ouro", "pago", "Vip", ""]), max_size=4).map(tuple)
asked_labels = labels.filter(bool)
attributes = st.dictionaries(
    st.sampled_from(["plano", "cep"]), st.sampled_from(["gold", "01310", 1310, True, 1, 1.0])
)
present = st.builds(
    Fields,
    inbox_id=st.integers(0, 3),
    account_id=st.integers(0, 3),
    conversation_id=st.integers(0, 3),
    message_type=st.sampled_from(["incoming", "outgoing"]),
    content_type=st.sampled_from(["text", "cards"]),
    private=st.booleans(),
    status=st.sampled_from(["open", "pending"]),
    channel=st.sampled_from(["Channel::Api", "Channel::Email"]),
    sender_type=st.sampled_from(["contact", "user"]),
    labels=labels,
    content=st.text(max_size=5),
    custom_attributes=attributes,
)
values = st.sampled_from([0, 1, 2, "incoming", "text", "open", "contact", "vip", "gold", True])
keys = st.sampled_from([key.replace("NAME", "plano") for key in CONDITIONS])


def holds(key: str, fields: Fields, *wanted: Scalar) -> bool:
    return compile_condition(key, wanted).holds(fields)


@given(keys, st.lists(values, min_size=1), present | st.just(Fields()))
def test_not_is_the_opposite_whether_the_event_has_the_field_or_not(
    key: str, wanted: list[Scalar], fields: Fields
) -> None:
    assert holds(f"not.{key}", fields, *wanted) is not holds(key, fields, *wanted)


@given(keys, st.lists(values, min_size=1))
def test_what_an_event_does_not_have_holds_for_nothing(key: str, wanted: list[Scalar]) -> None:
    assert not holds(key, Fields(), *wanted)
    assert not holds(key, Fields(custom_attributes={}), *wanted)


@given(keys.filter(lambda key: key != "labels.all"), st.lists(values, min_size=1), present)
def test_of_several_values_any_is_enough(key: str, wanted: list[Scalar], fields: Fields) -> None:
    assert holds(key, fields, *wanted) == any(holds(key, fields, one) for one in wanted)


@given(asked_labels, labels)
def test_all_labels_are_each_of_them(wanted: tuple[str, ...], has: tuple[str, ...]) -> None:
    fields = Fields(labels=has)
    assert holds("labels.all", fields, *wanted) == all(
        holds("labels.any", fields, one) for one in wanted
    )
    assert holds("labels.any", fields, *has) == bool(has)
    assert not has or holds("labels.all", fields, *has)


@given(st.text(), st.text())
def test_a_text_begins_with_its_own_beginning(begin: str, rest: str) -> None:
    fields = Fields(content=begin + rest)
    assert holds("content.prefix", fields, begin)
    assert holds("content.exact", fields, begin + rest)
    assert holds("content.exact", fields, begin) == (rest == "")


@given(st.text(), st.text(max_size=20), st.text())
def test_a_quoted_pattern_finds_its_text_wherever_it_stands(
    before: str, text: str, after: str
) -> None:
    quoted = "".join(f"\\x{{{ord(letter):x}}}" for letter in text)
    assert holds("content.regex", Fields(content=before + text + after), quoted)
    assert holds("content.regex", Fields(content=text), f"^{quoted}\\z")


def test_attributes_are_compared_with_their_type() -> None:
    fields = Fields(custom_attributes={"n": 1, "t": "1", "b": True, "f": 1.0, "a.b": "x"})
    assert holds("custom_attributes.n", fields, 1)
    assert not holds("custom_attributes.n", fields, "1", True)
    assert not holds("custom_attributes.t", fields, 1)
    assert not holds("custom_attributes.b", fields, 1)
    assert not holds("custom_attributes.f", fields, 1)
    assert holds("custom_attributes.a.b", fields, "x")
    assert not holds("custom_attributes.a", fields, "x")


def test_every_condition_is_taken_apart_and_nothing_else_is() -> None:
    for key in CONDITIONS:
        asked = ask(key)
        assert asked is not None
        negated = ask(f"not.{key}")
        assert negated is not None
        assert (asked.negated, negated.negated) == (False, True)
        assert (asked.field, asked.part) == (negated.field, negated.part)
    for key in ("", "not", "not.", "labels", "labels.none", "content", "inbox_id.any", "x", "."):
        assert ask(key) is None
    for key in ("not.not.private", "custom_attributes", "custom_attributes.", "labels.any.x"):
        assert ask(key) is None


HOSTILE = [
    (r"(a+)+$", "a" * 100_000 + "!"),
    (r"^(\w+\s?)*$", "a" * 100_000 + "!"),
    (r"(.*)*x(.*)*y", "x" * 100_000),
    (r"(a|aa)+$", "a" * 100_000 + "b"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 100_000),
]


@pytest.mark.parametrize(("pattern", "text"), HOSTILE, ids=[pattern for pattern, _ in HOSTILE])
def test_a_hostile_text_costs_milliseconds(pattern: str, text: str) -> None:
    condition = compile_condition("content.regex", (pattern,))
    fields = Fields(content=text)
    condition.holds(fields)  # the automaton is made while it searches for the first time
    spent_s = []
    for _ in range(5):
        before_s = time.process_time()
        condition.holds(fields)
        spent_s.append(time.process_time() - before_s)
    assert min(spent_s) < 0.02


def test_the_cost_of_a_pattern_at_its_bounds_is_bounded() -> None:
    assert pattern_problem("(?:[ab]*a[ab]{990}x|[ab]{900}y)") == ""
    condition = compile_condition("content.regex", ("[ab]*a[ab]{990}x",))
    text = ("ab" * 7 + "ba" * 9 + "abba") * (CONTENT_CHARS_MAX // 36)
    before_s = time.process_time()
    assert not condition.holds(Fields(content=text))
    assert time.process_time() - before_s < 10


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing )"),
        ("(?=a)", "invalid perl operator"),
        (r"(a)\1", "invalid escape"),
        ("a{1001}", "invalid repetition size"),
        ("[ab]{1000}" * 3, "too large"),
        ("a" * (PATTERN_CHARS_MAX + 1), "longer than 1000"),
    ],
)
def test_what_is_no_pattern_or_too_large_a_one_is_said_to_be(pattern: str, reason: str) -> None:
    assert reason in pattern_problem(pattern)


@pytest.mark.parametrize(
    "pattern", ["a" * PATTERN_CHARS_MAX, r"(?i)^\pL+\s\pL+$", "", "^olá|^oi", r"\d{5}-?\d{3}"]
)
def test_what_people_write_is_a_pattern(pattern: str) -> None:
    assert pattern_problem(pattern) == ""
