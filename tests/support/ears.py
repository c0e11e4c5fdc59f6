"""Who alerts are sent to, for tests: a real HTTP server and a real SMTP server on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web


@dataclass
class Heard:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Ears:
    """An HTTP server that answers as it is told, and keeps what it is sent."""

    url: str = ""
    status: int = 200
    answer: str = "ok"
    heard: list[Heard] = field(default_factory=list)

    async def hear(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append(Heard(request.path, headers, await request.read()))
        return web.Response(status=self.status, text=self.answer)


@asynccontextmanager
async def ears() -> AsyncIterator[Ears]:
    one = Ears()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield one
    finally:
        await runner.cleanup()


class Mailbox:
    """An SMTP server that takes everything, unless it is told to refuse recipients.

    Args:
        context: for STARTTLS; None: it is not offered.
        implicit: TLS from the first byte on.
    """

    def __init__(self, context: ssl.SSLContext | None = None, *, implicit: bool = False) -> None:
        self._context, self._implicit = context, implicit
        self.refuses = False
        self.port = 0
        self.logins: list[str] = []
        self.mails: list[bytes] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Mailbox"]:
        tls = self._context if self._implicit else None
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(*lines: str) -> None:
            writer.write("".join(f"{line}\r\n" for line in lines).encode())

        say("220 mailbox")
        secure = self._implicit
        while line := await reader.readline():
            word = line.split()[0].upper() if line.split() else b""
            if word == b"EHLO":
                offers = ["AUTH PLAIN"] if secure or self._context is None else ["STARTTLS"]
                say("250-mailbox", *(f"250-{one}" for one in offers), "250 8BITMIME")
            elif word == b"STARTTLS" and self._context is not None:
                say("220 go on")
                await writer.start_tls(self._context)
                secure = True
            elif word == b"AUTH":
                self.logins.append(line.decode().split()[-1])
                say("235 welcome")
            elif word == b"RCPT" and self.refuses:
                say("550 no such person")
            elif word == b"DATA":
                say("354 go on")
                self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                say("250 taken")
            elif word == b"QUIT":
                say("221 bye")
                break
            else:
                say("250 fine")
        writer.close()
