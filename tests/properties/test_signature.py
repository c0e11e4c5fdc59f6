"""Chatwoot's signature: what was signed is accepted, what was changed on the way never is."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

import comporta.testing
from comporta.chatwoot.signature import SignatureFault, sign, verify
from comporta.destinations.signing import key_of, signature

PAYLOADS = Path(comporta.testing.__file__).parent / "payloads"
VECTORS: list[dict[str, Any]] = json.loads((PAYLOADS / "signature_vectors.json").read_text())
NOW_S = 1_787_580_192
NOW = str(NOW_S)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def judged(secrets: list[str], given_signature: str, body: bytes, **other: Any) -> Any:
    asked = {"timestamp": NOW, "now_s": NOW_S, "tolerance_s": 300, **other}
    live = [secret.encode() for secret in secrets]
    return verify(live, signature=given_signature, body=body, **asked)


@given(st.lists(texts, min_size=1, max_size=4, unique=True), st.data(), st.binary())
def test_every_live_secret_works(secrets: list[str], data: st.DataObject, body: bytes) -> None:
    secret = data.draw(st.sampled_from(secrets))
    assert judged(secrets, sign(secret, NOW, body), body) is None


@given(texts, st.binary(min_size=1), st.data())
def test_one_flipped_bit_of_the_body_is_refused(
    secret: str, body: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[place // 8] ^= 1 << place % 8
    made = sign(secret, NOW, body)
    assert judged([secret], made, bytes(changed)) is SignatureFault.WRONG


@given(texts, st.binary(), st.integers(0, 255))
def test_one_flipped_bit_of_the_signature_is_refused(secret: str, body: bytes, place: int) -> None:
    mac = bytearray.fromhex(sign(secret, NOW, body).removeprefix("sha256="))
    mac[place // 8] ^= 1 << place % 8
    assert judged([secret], "sha256=" + mac.hex(), body) is SignatureFault.WRONG


@given(texts, texts, st.binary())
def test_another_secret_is_refused(secret: str, other: str, body: bytes) -> None:
    if secret.encode() != other.encode():
        assert judged([other], sign(secret, NOW, body), body) is SignatureFault.WRONG


@given(texts, st.binary())
def test_another_timestamp_is_refused_though_it_is_near(secret: str, body: bytes) -> None:
    made = sign(secret, NOW, body)
    assert judged([secret], made, body, timestamp=str(NOW_S + 1)) is SignatureFault.WRONG


@pytest.mark.parametrize(
    ("now_s", "fault"),
    [
        (NOW_S + 300, None),
        (NOW_S + 300.5, SignatureFault.TOO_OLD),
        (NOW_S - 300, None),
        (NOW_S - 300.5, SignatureFault.TOO_OLD),
    ],
)
def test_the_tolerance_holds_up_to_its_edge_in_both_directions(now_s: float, fault: Any) -> None:
    assert judged(["s"], sign("s", NOW, b"{}"), b"{}", now_s=now_s) is fault


@given(st.text(), st.text(st.characters(exclude_categories=["Cs"])), st.binary())
def test_any_headers_at_all_are_judged_without_an_error(
    timestamp: str, made: str, body: bytes
) -> None:
    assert judged(["s"], made, body, timestamp=timestamp) in set(SignatureFault)


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1e9", " 1787580192", "١٢٣", "1" * 13])
def test_a_timestamp_that_is_not_a_number_is_said_to_be_so(timestamp: str) -> None:
    made = sign("s", timestamp, b"{}")
    assert judged(["s"], made, b"{}", timestamp=timestamp) is SignatureFault.TIMESTAMP


def test_a_missing_signature_is_said_to_be_missing() -> None:
    assert judged(["s"], "", b"{}") is SignatureFault.MISSING


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["body_file"]))
def test_what_chatwoot_really_signed_is_accepted(vector: dict[str, Any]) -> None:
    headers = vector["headers"]
    body = (PAYLOADS / vector["body_file"]).read_bytes()
    assert len(body) == vector["body_bytes"]
    made = headers.get("X-Chatwoot-Signature", "")
    stamp = headers.get("X-Chatwoot-Timestamp", "")
    fault = judged(
        [vector.get("secret") or "none"], made, body, timestamp=stamp, now_s=int(stamp or 0)
    )
    assert fault is (None if made else SignatureFault.MISSING)


@given(st.binary(min_size=24, max_size=64), st.binary(), st.integers(1, 2**62))
def test_outgoing_signatures_are_what_the_standards_own_library_makes(
    key: bytes, body: bytes, number: int
) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    made = signature(key_of(secret), f"dlv_{number}", NOW_S, body)
    mac = Webhook(secret)
    if body.isascii():  # the library signs text, not bytes
        at = datetime.fromtimestamp(NOW_S, UTC)
        assert mac.sign(f"dlv_{number}", at, body.decode()) == made


@given(texts)
def test_a_secret_that_is_not_base64_is_its_own_key(secret: str) -> None:
    assert key_of(secret) == secret.encode() or secret.startswith("whsec_")
    assert key_of("whsec_$" + secret) == ("whsec_$" + secret).encode()
