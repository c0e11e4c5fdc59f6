"""A destination for trying out a gateway: it takes deliveries and judges them.

Every POST is a delivery. `PUT /behaviour` (JSON, the fields of `SinkBehaviour`) makes it misbehave,
`GET /report` tells what it saw. It is open to whoever reaches it: for tests, on loopback.
"""

import asyncio
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Self

from comporta.testing.loop import run
from comporta.testing.observed import SinkReport
from comporta.testing.sink_connection import OnArrival, SinkBehaviour, SinkConnection, SinkState

_REPORT_EVERY_S = 0.5
_BACKLOG = 1_024

OnReport = Callable[[SinkReport], None]


class Sink(SinkState):
    """A sink while it listens; use it with `async with`.

    Args:
        host: address to listen on.
        port: 0 takes a free one, which `port` then tells.
        secret: `whsec_…`; deliveries not signed with it are answered 401. None: not checked.
        behaviour: how to answer; the attribute may be set at any time.
        on_arrival: called for each delivery, once its answer is decided.
        seed: for choosing the `share` that misbehaves.
    """

    def __init__(  # noqa: PLR0913  (a constructor's options, all but the first two with defaults)
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        secret: str | None = None,
        behaviour: SinkBehaviour = SinkBehaviour(),  # noqa: B008  (frozen)
        on_arrival: OnArrival | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(secret, behaviour, on_arrival, seed)
        self.host, self.port = host, port

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SinkConnection(self, loop), self.host, self.port, backlog=_BACKLOG
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Stop listening and drop all connections."""
        self._server.close()
        for connection in tuple(self.connections):
            connection.drop()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where to deliver to."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"


def run_sink(
    sink: Sink,
    on_ready: Callable[[str], None] | None = None,
    on_report: OnReport | None = None,
) -> SinkReport:
    """Run a sink until SIGINT or SIGTERM; for callers without an event loop, in the main thread.

    Args:
        sink: not yet listening.
        on_ready: called with its URL once it listens.
        on_report: called twice a second with what it saw so far.

    Raises:
        OSError: the address cannot be listened on.
    """
    return run(_until_signal(sink, on_ready, on_report))


async def _until_signal(
    sink: Sink, on_ready: Callable[[str], None] | None, on_report: OnReport | None
) -> SinkReport:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with sink:
        if on_ready:
            on_ready(sink.url)
        while not stop.is_set():
            try:
                async with asyncio.timeout(_REPORT_EVERY_S):
                    await stop.wait()
            except TimeoutError:
                if on_report:
                    on_report(sink.report())
    return sink.report()
