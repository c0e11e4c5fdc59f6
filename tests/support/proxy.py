"""A TCP proxy between a client and a server, for what networks do: cut connections, and silence.

It runs on a thread and loop of its own, so a test may block. A connection holds at most what the
kernel's buffers and one read of `PIECE_BYTES` hold.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")
PIECE_BYTES = 64 * 1024
ANSWER_S = 10.0


class Proxy:
    """Passes on what comes, both ways, until it is told otherwise.

    Args:
        port: of the server.
        host: of the server.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port = 0
        """Its own; known once it has begun."""
        self.passed_bytes = 0
        """From clients to the server."""
        self._target = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._cut_after: int | None = None

    def cut(self) -> None:
        """End all connections at once, with a reset; new ones are taken."""
        self._do(self._cut())

    def cut_after(self, size: int) -> None:
        """End all connections once so many more bytes have gone to the server: amid a message."""
        self._do(self._now(lambda: setattr(self, "_cut_after", size)))

    def swallow(self) -> None:
        """Pass on what clients say, and keep from them what the server answers."""
        self._do(self._now(self._mute.clear))

    def stall(self) -> None:
        """Pass nothing on, either way; connections stay and new ones are taken."""

        def silence() -> None:
            self._mute.clear()
            self._deaf.clear()

        self._do(self._now(silence))

    def resume(self) -> None:
        """Pass on again, first what was kept."""

        def speak() -> None:
            self._mute.set()
            self._deaf.set()

        self._do(self._now(speak))

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._do(self._listen())
        return self

    def __exit__(self, *_error: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(ANSWER_S)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_S)

    async def _now(self, change: Callable[[], None]) -> None:
        change()

    async def _listen(self) -> int:
        # Both are set while traffic flows that way.
        self._deaf, self._mute = asyncio.Event(), asyncio.Event()
        self._deaf.set()
        self._mute.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._writers |= ends
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._forward(reader, back))
                tasks.create_task(self._return(there, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE_BYTES):
            await self._deaf.wait()
            if self._cut_after is not None and len(piece) >= self._cut_after:
                writer.write(piece[: self._cut_after])
                await writer.drain()
                self._cut_after = None
                await self._cut()
                return
            if self._cut_after is not None:
                self._cut_after -= len(piece)
            self.passed_bytes += len(piece)
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def _return(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE_BYTES):
            await self._mute.wait()
            writer.write(piece)
            await writer.drain()
        writer.close()
