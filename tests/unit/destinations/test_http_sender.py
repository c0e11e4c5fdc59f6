"""Attempts against real servers of every manner: always an answer, never an exception."""

import asyncio
import base64
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks.webhooks import Webhook
from tests.support.deliveries import delivery
from tests.support.listener import Answer, Request, listening, says, writes

from comporta.destinations.guard import forbidden
from comporta.destinations.http import RESPONSE_BYTES_MAX, Endpoint, HttpSender
from comporta.destinations.signing import key_of
from comporta.domain.delivery import AttemptResult
from comporta.domain.event import Headers
from comporta.domain.ids import show

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OK = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def opened_sender() -> AsyncIterator[HttpSender]:
    sender = HttpSender()
    await sender.open()
    try:
        yield sender
    finally:
        await sender.close()


async def send_to(
    url: str,
    body: bytes = b"{}",
    *,
    headers: Headers = (),
    timeout_s: float = 5.0,
    secret: str | None = None,
) -> AttemptResult:
    endpoint = Endpoint(url, timeout_s, key_of(secret) if secret else None)
    async with opened_sender() as sender, asyncio.timeout(20):
        return await sender.send(endpoint, delivery(77, body=body, headers=headers), "loja-sp")


def attempt(
    answer: Answer,
    body: bytes = b"{}",
    *,
    headers: Headers = (),
    timeout_s: float = 5.0,
    secret: str | None = None,
) -> tuple[AttemptResult, list[Request]]:
    async def run() -> tuple[AttemptResult, list[Request]]:
        async with listening(answer) as listener:
            result = await send_to(
                listener.url, body, headers=headers, timeout_s=timeout_s, secret=secret
            )
            return result, listener.requests

    return asyncio.run(run())


def test_a_2xx_is_an_answer_with_its_body_and_how_long_it_took() -> None:
    began_ms = time.time_ns() // 1_000_000
    result, (request,) = attempt(says(202, body=b"thanks"))
    assert (result.status, result.error, result.response) == (202, "", b"thanks")
    assert began_ms - 1 <= result.started_at_ms <= time.time_ns() // 1_000_000
    assert 0 < result.duration_ms < 5_000
    assert request.line == "POST /hook HTTP/1.1"


def test_a_receiver_can_verify_the_signature_with_the_standards_library() -> None:
    body = '{"content":"Olá, açúcar 🌊"}'.encode()
    _result, (request,) = attempt(says(200), body, secret=SECRET)
    assert Webhook(SECRET).verify(request.body, dict(request.headers)) == {
        "content": "Olá, açúcar 🌊"
    }
    assert request.header("webhook-id") == show("dlv", 77)


def test_without_a_secret_nothing_is_signed() -> None:
    _result, (request,) = attempt(says(200))
    assert "webhook-signature" not in dict(request.headers)


def test_the_original_headers_travel_along_and_cannot_take_the_place_of_ours() -> None:
    original = (
        ("content-type", "application/json; charset=utf-8"),
        ("x-chatwoot-delivery", "d-1"),
        ("x-chatwoot-signature", "sha256=00"),
        ("webhook-id", "forged"),
        ("comporta-instance", "forged"),
    )
    _result, (request,) = attempt(says(200), headers=original)
    assert request.header("content-type") == "application/json; charset=utf-8"
    assert request.header("x-chatwoot-delivery") == "d-1"
    assert request.header("x-chatwoot-signature") == "sha256=00"
    assert request.header("webhook-id") == show("dlv", 77)
    assert request.header("comporta-instance") == "loja-sp"
    assert request.header("comporta-event-id") == show("evt", 77)
    assert request.header("user-agent").startswith("comporta/")


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'\xff\xfe{"a":"\xe7"}\r\n', "ã\u2028".encode(), os.urandom(10 << 20)],
    ids=["empty", "plain", "not UTF-8", "separators", "10 MiB"],
)
def test_the_body_arrives_byte_by_byte_as_it_was(body: bytes) -> None:
    result, (request,) = attempt(says(200), body)
    assert (result.status, result.error) == (200, "")
    assert request.body == body
    assert request.header("content-length") == str(len(body))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_an_answer_and_not_followed(status: int) -> None:
    result, requests = attempt(says(status, "Location: /elsewhere"))
    assert result.status == status
    assert len(requests) == 1


@pytest.mark.parametrize("size", [RESPONSE_BYTES_MAX - 1, RESPONSE_BYTES_MAX, 3_000_000])
def test_a_long_answer_is_cut(size: int) -> None:
    result, _requests = attempt(says(200, body=b"x" * size))
    assert result.status == 200
    assert len(result.response) == min(size, RESPONSE_BYTES_MAX)


def test_an_endless_answer_is_cut() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    result, _requests = attempt(endless)
    assert result.status == 200
    assert len(result.response) == RESPONSE_BYTES_MAX


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120.0), ("0", 0.0), ("soon", None), ("-5", None), ("1" * 400, None), ("", None)],
)
def test_retry_after_in_seconds_is_read_and_nonsense_is_passed_over(
    value: str, seconds: float | None
) -> None:
    result, _requests = attempt(says(503, f"Retry-After: {value}"))
    assert result.status == 503
    if value.startswith("111"):
        assert result.retry_after_s is None or result.retry_after_s > 10**9
    else:
        assert result.retry_after_s == seconds


def test_retry_after_as_a_date_is_read() -> None:
    at = formatdate(time.time() + 100, usegmt=True)
    result, _requests = attempt(says(429, f"Retry-After: {at}"))
    assert result.retry_after_s is not None
    assert 95 < result.retry_after_s <= 100
    past = formatdate(time.time() - 100, usegmt=True)
    result, _requests = attempt(says(429, f"Retry-After: {past}"))
    assert result.retry_after_s == 0


@pytest.mark.parametrize(
    "answer",
    [writes(hang=True), writes(b"HTTP/1.1 ", hang=True), writes(OK + b"X-A: 1\r\n", hang=True)],
    ids=["says nothing", "half a status line", "half a head"],
)
def test_a_destination_that_hangs_is_given_up_in_time(answer: Answer) -> None:
    result, _requests = attempt(answer, timeout_s=0.2)
    assert result.status is None
    assert result.error == "no answer within 0.2 s"
    assert 150 < result.duration_ms < 3_000


def test_a_body_that_hangs_does_not_undo_the_answer() -> None:
    answer = writes(OK + b"Content-Length: 100\r\n\r\nhalf", hang=True)
    result, _requests = attempt(answer, timeout_s=0.3)
    assert (result.status, result.error) == (200, "")


def test_a_destination_that_does_not_take_the_connection_is_given_up_in_time() -> None:
    async def run() -> AttemptResult:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            port = server.getsockname()[1]
            held = [socket.socket() for _ in range(4)]  # the kernel's queue is full
            for one in held:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            try:
                return await send_to(f"http://127.0.0.1:{port}/", timeout_s=0.3)
            finally:
                for one in held:
                    one.close()

    result = asyncio.run(run())
    assert result.status is None
    assert "0.3 s" in result.error


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (writes(), "the connection was cut before an answer came"),
        (writes(b"SSH-2.0-OpenSSH_9.2\r\n"), ""),
        (writes(b"HTTP/1.1 2000000 Wow\r\n\r\n"), ""),
        (writes(OK + b"Content-Length: -1\r\n\r\n"), ""),
        (writes(OK + b"A" * 100_000 + b": 1\r\n\r\n"), ""),
    ],
    ids=["cut", "ssh", "status", "length", "huge head"],
)
def test_a_destination_that_speaks_no_http_is_a_failure_in_few_words(
    answer: Answer, words: str
) -> None:
    result, _requests = attempt(answer)
    assert result.status is None
    assert words in result.error
    assert 0 < len(result.error) <= 200
    assert "Traceback" not in result.error


@pytest.mark.parametrize(
    "answer",
    [
        writes(b"garbage\r\n\r\n"),
        writes(b"HTTP/1.1 banana OK\r\n\r\n"),
        writes(OK + b"bad header\x00: x\r\n\r\n"),
        writes(OK + b"A" * 100_000 + b": 1\r\n\r\n"),
        writes(),
    ],
    ids=["garbage", "status", "header", "huge head", "cut"],
)
def test_a_token_in_the_address_is_in_no_words_about_a_failure(answer: Answer) -> None:
    """They are logged, and shown to whoever may read; the library's words name the address."""

    async def run() -> AttemptResult:
        async with listening(answer) as listener:
            return await send_to(f"{listener.url}/hook-of-mine?token=s3cret")

    error = asyncio.run(run()).error
    assert error
    assert "hook-of-mine" not in error
    assert "s3cret" not in error


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/hook", "cannot connect: "),
        ("http://no-such-name.invalid/hook", "the name cannot be resolved"),
        ("http://169.254.169.254/latest/meta-data", "forbidden"),
        ("http://[fe80::1]/hook", "forbidden"),
        ("http://[::ffff:169.254.169.254]/hook", "forbidden"),
        ("http://2852039166/hook", "not a canonical IPv4 address"),
    ],
)
def test_what_cannot_or_must_not_be_reached_is_a_failure_in_words(url: str, words: str) -> None:
    result = asyncio.run(send_to(url))
    assert result.status is None
    assert words in result.error


def test_tls_where_there_is_none_is_a_failure_in_words() -> None:
    async def run() -> AttemptResult:
        async with listening(says(200)) as listener:
            return await send_to(listener.url.replace("http:", "https:"), timeout_s=0.3)

    result = asyncio.run(run())
    assert result.status is None
    assert result.error == "no answer within 0.3 s"


def own_certificate(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (folder / "pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem")
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    async def run() -> tuple[AttemptResult, list[Request]]:
        async with listening(says(200), own_certificate(tmp_path)) as listener:
            return await send_to(listener.url), listener.requests

    result, requests = asyncio.run(run())
    assert result.status is None
    assert result.error.startswith("TLS failed: the certificate is not valid")
    assert requests == []


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "nul\x00", "latin ÿ", "sum \u2211"])
def test_odd_values_of_headers_neither_smuggle_nor_raise(value: str) -> None:
    result, requests = attempt(says(200), headers=(("x-chatwoot-odd", value),))
    assert result.status == 200 or result.error
    assert all("x-evil" not in dict(request.headers) for request in requests)


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.1.1", "169.254.169.254", "fe80::1", "fe80::1%eth0", "[fe80::1]", "224.0.0.1"),
        *("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "::ffff:169.254.169.254"),
    ],
)
def test_link_local_and_metadata_addresses_are_forbidden(address: str) -> None:
    assert forbidden(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.5", "192.168.1.1", "172.17.0.2", "::1", "8.8.8.8", "n8n", ""]
)
def test_private_and_public_addresses_and_names_are_allowed(address: str) -> None:
    assert not forbidden(address)


def test_a_cancelled_attempt_leaves_nothing_open() -> None:
    async def run() -> None:
        async with listening(writes(hang=True)) as listener, opened_sender() as sender:
            endpoint = Endpoint(listener.url, 30.0)
            task = asyncio.create_task(sender.send(endpoint, delivery(1), "loja"))
            while not listener.requests:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
