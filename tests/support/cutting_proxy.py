"""A way to PostgreSQL that breaks in the worst moment: it has committed, and nobody hears of it.

It passes bytes on until it is armed. Then the next COMMIT reaches the server or does not, and its
answer is thrown away with the connection.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK = 1 << 16
_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The message as the client sends it."""


class CuttingProxy:
    """See the module; `cutting` makes one."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self.cuts = 0
        self._server_port = port
        self._armed = False
        self._reaches = True

    def arm(self, *, reaches: bool = True) -> None:
        """The next commit breaks off, and only that one: after it was done, or before."""
        self._armed, self._reaches = True, reaches

    async def carry(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """One connection, until an end of it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        silent = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._answer(reader, back, silent))
                while data := await client.read(CHUNK):
                    if self._armed and data.endswith(_COMMIT):
                        self._armed = False
                        silent.set()
                        if not self._reaches:
                            self.cuts += 1
                            back.close()
                            break
                    writer.write(data)
                writer.close()
        finally:
            writer.close()
            back.close()

    async def _answer(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, silent: asyncio.Event
    ) -> None:
        while data := await reader.read(CHUNK):
            if silent.is_set():  # it is committed now
                self.cuts += 1
                break
            back.write(data)
        back.close()


@asynccontextmanager
async def cutting(port: int) -> AsyncIterator[CuttingProxy]:
    """A proxy on a port of its own (`proxy.port`) before the server on `port`."""
    proxy = CuttingProxy(port)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ExceptionGroup):
            await proxy.carry(reader, writer)

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
