import string
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from comporta.telemetry import redact

TOKEN = st.text(string.ascii_letters + string.digits + "-_", min_size=8, max_size=60)
SURROUNDING = st.text(max_size=60)
EDGE = st.sampled_from([" ", '"', "'", "\n", "(", ",", "; "])
BEFORE = st.tuples(SURROUNDING, EDGE).map("".join)
AFTER = st.tuples(EDGE, SURROUNDING).map("".join)
EMAILS = st.from_regex(
    r"[a-z][a-z0-9._+-]{0,20}@[a-z][a-z0-9-]{0,15}\.(com|com\.br|net)", fullmatch=True
)
PHONES = st.from_regex(
    r"(\+55 ?)?\(?[1-9][0-9]\)? ?9[0-9]{4}[ -]?[0-9]{4}|\+?55[1-9]{2}9[0-9]{8}", fullmatch=True
)


@given(BEFORE, TOKEN, AFTER)
@pytest.mark.parametrize(
    "shape",
    [
        "/webhook/{}",
        "/webhook/{}/",
        "/webhook/{}?x=1",
        "/webhook?token={}",
        "/webhook?a=b&token={}&c=d",
        "Authorization: Bearer {}",
        "authorization: basic {}==",
        "cmp_{}",
        "whsec_{}",
        "https://user:{}@chat.example/webhook",
        "redis://:{}@127.0.0.1:6379/0",
        "https://{}@chat.example/webhook",
        '{{"token": "{}"}}',
        "{{'secret': '{}'}}",
        "password={}",
    ],
)
def test_a_secret_never_survives_wherever_it_stands(
    shape: str, before: str, secret: str, after: str
) -> None:
    assume(secret not in before + shape + after)
    assert secret not in redact.text(before + shape.format(secret) + after)


@given(BEFORE, EMAILS, AFTER)
def test_an_email_address_never_survives(before: str, email: str, after: str) -> None:
    assert email not in redact.text(before + email + after)


@given(BEFORE, PHONES, AFTER)
@example("", "+55 (11) 98765-4321", "")
@example("", "11987654321", "")
def test_a_phone_number_never_survives(before: str, phone: str, after: str) -> None:
    assert phone not in redact.text(before + phone + after)


@given(st.recursive(TOKEN, lambda inner: st.lists(inner) | st.dictionaries(TOKEN, inner)))
def test_a_secret_never_survives_in_nested_values(nested: object) -> None:
    fields = {"outer": {"list": [{"authorization": nested}, "Bearer s3cr3t-value"]}}
    shown = repr(redact.fields(fields))
    assert "s3cr3t-value" not in shown
    assert "'authorization': '***'" in shown


@pytest.mark.parametrize("name", ["token", "secrets", "Authorization", "cookie", "senha", "body"])
def test_the_value_of_a_field_with_a_telling_name_is_never_shown(name: str) -> None:
    assert redact.fields({name: "abc"}) == {name: "***"}
    assert redact.fields({name: 5511987654321}) == {name: "***"}


@pytest.mark.parametrize(
    "line",
    [
        "evt_0000000000005 and dlv_0123456789012",
        "0f8fad5b-d9cd-469f-a165-70867728950e",
        "2026-11-24 07:04:54 +00:00",
        "Uvicorn running on http://127.0.0.1:8001",
        "/webhook was called",
        "partition 12 lag 4096",
        "message_created",
        "",
    ],
)
def test_what_people_need_to_read_stays_readable(line: str) -> None:
    assert redact.text(line) == line


def test_values_that_are_no_strings_stay_what_they_are() -> None:
    fields = {"count": 12345678901234, "ratio": 0.5, "ok": True, "none": None}
    assert redact.fields(fields) == fields
    assert redact.fields({"payload": b"abc"}) == {"payload": "<3 bytes>"}


def test_values_are_bounded_in_length_depth_and_number() -> None:
    deep: object = "end"
    for _ in range(50):
        deep = [deep]
    assert len(redact.text("a b " * 100_000)) <= redact.TEXT_CHARS_MAX + 1
    assert "end" not in repr(redact.value(deep))
    assert len(redact.value(list(range(1000)))) == redact.ITEMS_MAX


@pytest.mark.parametrize(
    "piece", ["://", "a@", "@", "1 ", "token=", "bearer ", "1-(", ".", "cmp_", "/webhook/"]
)
def test_no_text_makes_redaction_slow(piece: str) -> None:
    line = piece * (200_000 // len(piece))
    began = time.process_time()
    redact.text(line)
    assert time.process_time() - began < 1.0
