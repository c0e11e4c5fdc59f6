"""Runs the workers of one server: uvicorn's, with a way to leave that loses nobody.

With one worker this process is the worker. With several it is their parent, which holds the port:
it tells them that the server leaves, closes the port once balancers know, and lets them finish. The
command `uvicorn --workers` has a parent that knows nothing of that; there the port has to be
systemd's.
"""

import os
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess

from comporta.leaving import ANNOUNCE
from comporta.listening import closing
from comporta.settings import Settings

APP = "comporta.asgi:app"
KEEP_ALIVE_S = 120
"""For idle connections; balancers before us end theirs sooner, so that no call meets the end."""
POLL_S = 0.05
HURRY_S = 1.0
"""For workers that were told to end at once."""
HURRIES = {signal.SIGTERM, signal.SIGINT}


def serve(settings: Settings, workers: int, ports: Sequence[socket.socket], *, ours: bool) -> None:
    """Serve until this process is told to end.

    Args:
        settings: of the server.
        workers: how many.
        ports: bound.
        ours: whether they are to be closed at the end, or belong to somebody else.

    Raises:
        SystemExit: it could not start.
    """
    config = uvicorn.Config(
        APP,
        workers=workers,
        log_config=None,
        access_log=False,  # the token stands in the path
        server_header=False,
        proxy_headers=False,  # the application knows whom to believe
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(settings.drain_s),
    )
    if workers > 1:
        Supervisor(config, list(ports), settings.leave_s if ours else None).run()
        return
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):  # uvicorn raises it once everything has ended
        server.run(sockets=list(ports))
    if not server.started:
        raise SystemExit(3)


class Supervisor(Multiprocess):
    """The parent of several workers.

    Args:
        config: of uvicorn.
        ports: bound.
        leave_s: between saying that the server leaves and closing the ports, seconds; None: they
            are not ours to close.
    """

    def __init__(
        self, config: uvicorn.Config, ports: list[socket.socket], leave_s: float | None
    ) -> None:
        super().__init__(config, ports)
        self._leave_s = leave_s
        self._polite = False

    def handle_term(self) -> None:
        """The server leaves, politely; Ctrl-C has told the workers already."""
        self._polite = True
        super().handle_term()

    def terminate_all(self) -> None:
        """Leave, then tell the workers to end."""
        if self._polite and self._leave_s is not None:
            self._tell(ANNOUNCE)
            self._wait(self._leave_s)
            for port in self.sockets:
                for rest_s in closing(port):
                    time.sleep(rest_s)
        super().terminate_all()
        for port in self.sockets:
            port.close()

    def join_all(self) -> None:
        """Wait for the workers; a second signal hurries them."""
        while self._alive() and not self._hurried():
            time.sleep(POLL_S)
        if self._alive():
            self._tell(signal.SIGTERM)
            ends_at = time.monotonic() + HURRY_S
            while self._alive() and time.monotonic() < ends_at:
                time.sleep(POLL_S)
            self._tell(signal.SIGKILL)
        super().join_all()

    def _alive(self) -> list[int]:
        return [one.pid for one in self.processes if one.pid and one.process.is_alive()]

    def _tell(self, number: int) -> None:
        for pid in self._alive():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at and not self._hurried():
            time.sleep(POLL_S)

    def _hurried(self) -> bool:
        return any(number in HURRIES for number in self.signal_queue)
