"""nginx, HAProxy and Caddy with the files of `comporta deploy`, before a gateway: what passes.

Faults and restarts of servers behind them are tried in tests/faults.
"""

import asyncio
import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.integration.conftest import TOKEN
from tests.support.gateway import Gateway, wait_for
from tests.support.listener import Request, listening, says
from tests.support.servers.balancers import DOMAIN, ONE, Balancer
from tests.support.servers.program import free_port

from comporta.deploy.kinds import Kind

MIB = 1024 * 1024
KINDS = (Kind.NGINX, Kind.HAPROXY, Kind.CADDY)
FRONT = "203.0.113.9"
STRANGER_MAX = 100
"""Refusals in ten seconds that HAProxy lets an unknown address have."""


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    wanted: Kind = request.param
    return wanted


@pytest.fixture(scope="module")
def balancer(
    kind: Kind, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Balancer]:
    folder = tmp_path_factory.mktemp(kind.value)
    with Balancer(kind, folder, ONE, [f"server-1=127.0.0.1:{gateway.port}"]) as one:
        yield one


def body(number: int, size: int = 0) -> bytes:
    head = b'{"event":"message_created","balanced":%d,"pad":"' % number
    return head + b"x" * (size - len(head) - 2) + b'"}'


def call(  # noqa: PLR0913  (what a request is made of)
    balancer: Balancer,
    method: str,
    path: str,
    data: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    tls: bool = False,
) -> int:
    """The status of one request over a connection of its own."""
    connection = _connection(balancer, tls=tls)
    given = {"Host": DOMAIN, "Content-Type": "application/json"} | (headers or {})
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has answered, and reads no more
            connection.request(method, path, data, given)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_program_finds_nothing_wrong_with_its_file(balancer: Balancer) -> None:
    done = balancer.check()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/webhook/{TOKEN}", {}),
        (f"/webhook/{TOKEN}/", {}),
        (f"/webhook?token={TOKEN}", {}),
        (f"/webhook/?token={TOKEN}", {}),
        ("/webhook", {"Authorization": f"Bearer {TOKEN}"}),
    ],
    ids=["path", "path-slash", "query", "query-slash", "header"],
)
def test_every_form_of_the_address_is_taken_and_never_led_elsewhere(
    balancer: Balancer, path: str, headers: dict[str, str], tls: bool
) -> None:
    assert call(balancer, "POST", path, body(1), headers, tls=tls) == 200


def test_what_comporta_takes_passes_and_what_is_larger_is_refused_as_such(
    balancer: Balancer,
) -> None:
    path = f"/webhook/{TOKEN}"
    assert call(balancer, "POST", path, body(2, 20 * MIB)) == 200
    assert call(balancer, "POST", path, body(3, 20 * MIB + 1)) == 413
    assert call(balancer, "POST", path, body(4, 22 * MIB)) == 413


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/readyz", "/api/v1/instances", "/x"])
def test_the_inside_is_for_nobody_outside(balancer: Balancer, path: str) -> None:
    assert call(balancer, "GET", path) in {403, 404}


def test_a_method_that_is_no_call_of_chatwoot_is_answered_by_comporta(balancer: Balancer) -> None:
    assert call(balancer, "GET", f"/webhook/{TOKEN}") == 405


def test_a_token_stands_in_no_log_whatever_goes_wrong(
    kind: Kind, gateway: Gateway, tmp_path: Path
) -> None:
    token = "a-token-that-nobody-may-read"
    paths = [
        *(f"/webhook/{token}", f"/webhook/{token}/", f"/webhook?token={token}"),
        *(f"/webhook/?token={token}", f"//webhook/{token}", f"/Webhook/{token}", f"/{token}"),
        *(f"/health?{token}", f"/api/{token}", f"/webhook/../{token}"),
    ]
    server = f"server-1=127.0.0.1:{gateway.port}"
    with Balancer(kind, tmp_path / "there", ONE, [server]) as one:
        for path in paths:
            call(one, "POST", path, body(5), {"Referer": path})
            call(one, "GET", path)
        call(one, "POST", paths[0], body(6), {"Authorization": f"Bearer {token}"})
        call(one, "POST", paths[0], body(7, 22 * MIB))
        for odd in (f"POST /webhook/{token} HTTP/1.1\r\nHost x\r\n\r\n", f"GET {token}\r\n\r\n"):
            _send_raw(one, odd.encode())
    gone = f"server-1=127.0.0.1:{free_port()}"
    with Balancer(kind, tmp_path / "gone", ONE, [gone]) as other:
        assert call(other, "POST", paths[0], body(5)) in {502, 503}
        wait_for("the logs are written", lambda: "/webhook" in one.logs and "50" in other.logs)
    assert token not in one.logs + other.logs


@pytest.mark.parametrize(
    ("behind", "seen"), [((), "127.0.0.1"), (("127.0.0.1",), FRONT)], ids=["stranger", "in-front"]
)
def test_who_calls_is_told_by_what_stands_in_front_and_by_nobody_else(
    kind: Kind, tmp_path: Path, behind: tuple[str, ...], seen: str
) -> None:
    told = {"X-Forwarded-For": f"8.8.8.8, {FRONT}", "X-Forwarded-Proto": "https"}

    async def main() -> Request:
        async with listening(says(200)) as listener:
            server = f"server-1=127.0.0.1:{urlsplit(listener.url).port}"
            with Balancer(kind, tmp_path, ONE, [server], behind) as one:
                path = f"/webhook/{TOKEN}"
                assert await asyncio.to_thread(call, one, "POST", path, body(8), told) == 200
            return listener.requests[-1]

    request = asyncio.run(main())
    chain = [part.strip() for part in request.header("x-forwarded-for").split(",")]
    # Caddy adds itself where it believes; the gateway believes the same networks, and goes on.
    assert [part for part in chain if part not in behind][-1] == seen
    assert request.header("x-forwarded-proto") == ("https" if behind else "http")
    assert request.header("host") == DOMAIN


def test_who_tries_tokens_is_put_off_but_no_address_of_which_a_call_was_taken_in(
    gateway: Gateway, tmp_path: Path
) -> None:
    server = f"server-1=127.0.0.1:{gateway.port}"
    wrong = [f"/webhook/guess-{number}" for number in range(STRANGER_MAX + 20)]
    with Balancer(Kind.HAPROXY, tmp_path / "stranger", ONE, [server]) as one:
        statuses = [call(one, "POST", path, body(9)) for path in wrong]
        assert statuses[0] == 404
        assert statuses[-1] == 429
    with Balancer(Kind.HAPROXY, tmp_path / "known", ONE, [server]) as other:
        assert call(other, "POST", f"/webhook/{TOKEN}", body(10)) == 200
        assert {call(other, "POST", path, body(9)) for path in wrong} == {404}


def test_nginx_lets_whatever_is_no_webhook_call_through_slowly_and_calls_at_once(
    gateway: Gateway, tmp_path: Path
) -> None:
    server = f"server-1=127.0.0.1:{gateway.port}"
    with Balancer(Kind.NGINX, tmp_path, ONE, [server]) as one:
        odd = [call(one, "GET", f"/webhook/{TOKEN}") for _ in range(40)]
        assert odd[0] == 405
        assert 429 in odd
        calls = {call(one, "POST", f"/webhook/{TOKEN}", body(n)) for n in range(100, 200)}
        assert calls == {200}


def _connection(balancer: Balancer, *, tls: bool) -> http.client.HTTPConnection:
    port = balancer.tls_port if tls else balancer.port
    connection: http.client.HTTPConnection
    if tls:
        trusted = ssl.create_default_context(cafile=str(balancer.folder / "server.crt"))
        connection = http.client.HTTPSConnection(DOMAIN, port, timeout=20, context=trusted)
    else:
        connection = http.client.HTTPConnection(DOMAIN, port, timeout=20)
    # The name as Chatwoot would have it, but no question to a name server.
    here = socket.create_connection
    connection._create_connection = lambda _address, *rest: here(("127.0.0.1", port), *rest)  # type: ignore[attr-defined]
    return connection


def _send_raw(balancer: Balancer, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", balancer.port), 5) as one:
        one.sendall(data)
        with suppress(OSError):
            one.recv(1000)
