"""Signatures, held against an independent implementation of the standard."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from comporta.testing.standard_webhooks import TOLERANCE_S, is_signed, key_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = key_of(SECRET)
NOW_S = 1_790_000_000


def signed(
    body: str = "{}", webhook_id: str = "dlv_1", secret: str = SECRET, at_s: int = NOW_S
) -> str:
    return Webhook(secret).sign(webhook_id, datetime.fromtimestamp(at_s, UTC), body)


@given(st.text(max_size=50), st.text("abc_123", min_size=1, max_size=20))
def test_what_another_implementation_signed_is_right(body: str, webhook_id: str) -> None:
    signature = signed(body, webhook_id)
    assert is_signed(KEY, webhook_id, str(NOW_S), signature, body.encode(), NOW_S)


def test_one_right_signature_among_several_is_enough() -> None:
    old = signed(secret="whsec_" + "A" * 32)
    assert is_signed(KEY, "dlv_1", str(NOW_S), f"{old} v1a,x {signed()}", b"{}", NOW_S)
    assert not is_signed(KEY, "dlv_1", str(NOW_S), f"{old} v1a,x", b"{}", NOW_S)


@pytest.mark.parametrize(
    ("webhook_id", "timestamp", "body"),
    [
        ("dlv_2", str(NOW_S), b"{}"),
        ("dlv_1", str(NOW_S + 1), b"{}"),
        ("dlv_1", str(NOW_S), b"{ }"),
        ("dlv_1", "", b"{}"),
        ("dlv_1", "soon", b"{}"),
    ],
)
def test_a_changed_id_time_or_body_is_wrong(webhook_id: str, timestamp: str, body: bytes) -> None:
    assert not is_signed(KEY, webhook_id, timestamp, signed(), body, NOW_S)


def test_the_tolerance_ends_where_it_says() -> None:
    for late_s, right in ((TOLERANCE_S, True), (TOLERANCE_S + 1, False)):
        assert is_signed(KEY, "dlv_1", str(NOW_S), signed(), b"{}", NOW_S + late_s) is right


def test_a_secret_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="whsec_") as caught:
        key_of("whsec_not base64!")
    assert "not base64!" not in str(caught.value)
