"""A worker's life as its server sees it: lifespan, refusals at the start, defects later."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from comporta.app import Application, create_app
from comporta.companion import Companion
from comporta.fleet.watch import FleetWatch
from comporta.ingest.rejected import RejectedRing
from comporta.settings import Settings
from comporta.testing.conformance.records import until

TOKEN = "token-of-the-shop"
FLEET = """
[[instance]]
name = "loja"
[[instance.source]]
name = "conta"
kind = "account"
"""
Message = dict[str, Any]


@pytest.fixture(autouse=True)
def no_dispatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The companion has its own tests; here none is started."""

    async def wait(_self: Companion) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Companion, "run", wait)


@pytest.fixture
def terms() -> Iterator[list[int]]:
    """The SIGTERMs that this process sends itself."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)


class Server:
    """Speaks the lifespan protocol with an application."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.said: list[Message] = []
        self._tell: asyncio.Queue[Message] = asyncio.Queue()

    async def _send(self, message: Message) -> None:
        self.said.append(message)

    @property
    def types(self) -> list[str]:
        return [message["type"].removeprefix("lifespan.") for message in self.said]

    async def start(self) -> None:
        self._tell.put_nowait({"type": "lifespan.startup"})
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
        self.life = asyncio.create_task(self.app(scope, self._tell.get, self._send))  # type: ignore[arg-type]

        async def started() -> bool:
            return bool(self.said)

        await until("it says something", started)

    async def stop(self) -> None:
        self._tell.put_nowait({"type": "lifespan.shutdown"})
        async with asyncio.timeout(10):
            await self.life

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One request past any server."""
        sent: list[Message] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [],
            "http_version": "1.1",
            "scheme": "http",
            "root_path": "",
            "server": ("x", 1),
        }

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], b"".join(one.get("body", b"") for one in sent)


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[Server]:
    server = Server(create_app(settings))
    await server.start()
    yield server
    await server.stop()


def settings_with(folder: Path, source: str = f'token = "{TOKEN}"') -> Settings:
    (folder / "fleet.toml").write_text(FLEET + source + "\n")
    return Settings(data=folder / "data", fleet=folder / "fleet.toml")


def test_it_takes_webhooks_both_ways_from_start_to_end(tmp_path: Path) -> None:
    async def run() -> list[str]:
        async with served(settings_with(tmp_path)) as server:
            assert server.types == ["startup.complete"]
            assert await server.ask("POST", f"/webhook/{TOKEN}", b"{}") == (200, b"")
            assert (await server.ask("POST", "/webhook/unknown", b"{}"))[0] == 404
            assert (await server.ask("GET", "/livez"))[0] == 200
            durable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            url = f"/webhook/{TOKEN}".encode()
            assert server.app.take(url, [], b"{}", durable.set_result)
            assert await durable is True
        return server.types

    assert asyncio.run(run()) == ["startup.complete", "shutdown.complete"]


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        (f"/webhook/{TOKEN}", True),
        (f"/webhook/{TOKEN}/", True),
        (f"/webhook?token={TOKEN}", True),
        (f"/webhook/?token={TOKEN}", True),
        (f"/webhook/{TOKEN[:-1]}%70", False),
        (f"/webhooks/{TOKEN}", False),
        (f"/webhookx{TOKEN}", False),
        ("/webhook", False),
    ],
)
def test_the_short_way_is_for_the_webhook_path_and_nothing_that_needs_decoding(
    tmp_path: Path, url: str, taken: bool
) -> None:
    async def run() -> None:
        async with served(settings_with(tmp_path)) as server:
            durable: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            assert server.app.take(url.encode(), [], b"{}", durable.set_result) is taken
            if taken:
                await durable

    asyncio.run(run())


def test_a_fleet_file_that_leaves_a_token_out_is_refused_at_start_with_a_way_out(
    tmp_path: Path,
) -> None:
    async def run() -> Message:
        async with served(settings_with(tmp_path, "")) as server:
            (said,) = server.said
        return said

    said = asyncio.run(run())
    assert said["type"] == "lifespan.startup.failed"
    assert "The source loja/conta has no token" in said["message"]
    assert f"comporta apply {tmp_path / 'fleet.toml'}" in said["message"]


def test_a_data_folder_that_cannot_be_made_is_said_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def run() -> Message:
        async with served(Settings(data=tmp_path / "file" / "data")) as server:
            (said,) = server.said
        return said

    with capture_logs() as logs:
        said = asyncio.run(run())
    assert said["type"] == "lifespan.startup.failed"
    assert "cannot be made" in said["message"]
    assert [one["event"] for one in logs if one["event"] == "gateway.failed"] == []


@pytest.mark.parametrize("task", [FleetWatch, RejectedRing])
def test_a_defect_in_the_background_left_a_worker_that_answered_badly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terms: list[int], task: type[Any]
) -> None:
    fails = asyncio.Event()

    async def fail(_self: object) -> None:
        await fails.wait()
        raise ZeroDivisionError

    monkeypatch.setattr(task, "run", fail)

    async def run() -> list[str]:
        async with served(settings_with(tmp_path)) as server:
            assert server.types == ["startup.complete"]
            fails.set()

            async def told_to_end() -> bool:
                return bool(terms)

            await until("the worker tells itself to end", told_to_end)
            assert not server.life.done(), "what is under way is finished first"
        return server.types

    with capture_logs() as logs:
        assert asyncio.run(run()) == ["startup.complete", "shutdown.complete"]
    assert terms == [signal.SIGTERM]
    assert [one["event"] for one in logs if one["log_level"] == "error"] == ["gateway.failed"]


def test_a_defect_at_the_start_keeps_it_from_serving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terms: list[int]
) -> None:
    async def fail(_self: object) -> None:
        raise ZeroDivisionError("impossible")

    monkeypatch.setattr(FleetWatch, "load", fail)

    async def run() -> list[Message]:
        async with served(settings_with(tmp_path)) as server:
            pass
        return server.said

    with capture_logs() as logs:
        assert asyncio.run(run()) == [{"type": "lifespan.startup.failed", "message": "impossible"}]
    assert [one["event"] for one in logs if one["log_level"] == "error"] == ["gateway.failed"]
    assert terms == []


def test_a_websocket_is_closed_before_it_is_accepted(tmp_path: Path) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app: Any = create_app(Settings(data=tmp_path))
    asyncio.run(app({"type": "websocket", "path": "/"}, None, send))
    assert sent == [{"type": "websocket.close"}]
