"""A destination that keeps everything, built on the standard library and nothing of ours."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import msgspec


class Arrived(msgspec.Struct, frozen=True):
    """A delivery, whole. Names of headers are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float
    """Monotonic."""
    status: int
    done_s: float
    """When its answer was decided, monotonic."""

    @property
    def ok(self) -> bool:
        return self.status == 200


Decide = Callable[[str, bytes], int]
"""Path and body → status; it may block."""


class Receiver:
    """Listens on loopback while entered; `decide` and `answer_headers` may change at any time."""

    def __init__(self, decide: Decide = lambda _path, _body: 200, port: int = 0) -> None:
        self.decide = decide
        self.answer_headers: dict[str, str] = {}
        self.arrived: list[Arrived] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                at_s = time.monotonic()
                status = receiver.decide(self.path, body)
                headers = {name.lower(): value for name, value in self.headers.items()}
                done_s = time.monotonic()
                receiver.arrived.append(Arrived(self.path, headers, body, at_s, status, done_s))
                self.send_response(status)
                for name, value in receiver.answer_headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass  # the gateway was killed in the middle of a delivery

        self._server = Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def bodies(self, path: str | None = None) -> list[bytes]:
        """Of accepted deliveries, in the order of arrival."""
        return [one.body for one in self.arrived if one.ok and path in (None, one.path)]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
