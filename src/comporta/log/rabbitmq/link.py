"""A connection to RabbitMQ that is made again whenever it ends, by ourselves.

The client's own reconnection is known to come back without its consumers. Here nothing of an old
connection is used on a new one: whoever needs something of it makes it anew. This is a supervisor:
what fails on the way is told by `error`, and tried again.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiormq
import structlog

from comporta.errors import ComportaError, ConfigError, StoreError, StoreUnavailableError
from comporta.i18n import _
from comporta.log.rabbitmq.address import Address

CONNECT_S: Final = 5.0
PREPARE_S: Final = 30.0
"""New queues take a moment each."""
CLOSE_S: Final = 2.0
PAUSES_S: Final = (0.1, 2.0)
"""Between attempts: at first, and at most, so that it is there within 5 s of the server."""
_log = structlog.get_logger(__name__)
# What it has to say is said here, in our words, once and not for every attempt.
logging.getLogger("aiormq").setLevel(logging.CRITICAL)


def unavailable(where: str, reason: str) -> StoreUnavailableError:
    """The error for a server that cannot be used now."""
    return StoreUnavailableError(
        _(
            "RabbitMQ at {where} cannot be used: {reason}. It is tried again by itself; see that"
            " it runs, and that COMPORTA_LOG names it rightly."
        ).format(where=where, reason=reason)
    )


@asynccontextmanager
async def asking(where: str, within_s: float) -> AsyncIterator[None]:
    """Whatever is asked of the server inside has a deadline, and fails in our words.

    Raises:
        StoreUnavailableError: no answer, a refusal, or the connection ended.
        aiormq.DeliveryError: it is all there, and this message is not taken.
    """
    task = asyncio.current_task()
    try:
        async with asyncio.timeout(within_s):
            yield
    except asyncio.CancelledError:
        # aiormq cancels what waits when a connection ends. Nobody has cancelled us then.
        if task is None or task.cancelling():
            raise
        raise unavailable(where, _("the connection ended")) from None
    except (ComportaError, aiormq.DeliveryError):
        raise
    except Exception as error:
        # The client raises a bare Exception where a connection ended in good order, and lets out
        # the end of its own iteration where that was amid the greeting.
        known = (aiormq.AMQPError, OSError, RuntimeError, StopAsyncIteration)
        if isinstance(error, known) or type(error) is Exception:
            raise unavailable(where, _reason(error)) from None
        raise


def _reason(error: Exception) -> str:
    match error:
        case TimeoutError():
            return _("it does not answer in time")
        case aiormq.ProbableAuthenticationError() | aiormq.AuthenticationError():
            return _("it does not accept the user name and password")
        case aiormq.InvalidFrameError() if "Connection.Close" in str(error):
            return _(
                "it does not let this user into the virtual host, or there is none of that name"
            )
        case OSError(strerror=str(said)) if said:
            return said.rstrip(".")
    return str(error).rstrip(".") or _("the connection ended")


class Connection(aiormq.Connection):
    """aiormq's, which also tells why the server takes nothing now.

    The name is that of the class above it on purpose: so its two private handlers are these.
    """

    blocked = ""
    """What the server says: an alarm of its memory or its disk; "" while it takes messages."""

    async def __handle_connection_blocked(self, frame: aiormq.spec.Connection.Blocked) -> None:
        self.blocked = str(frame.reason) or "blocked"

    async def __handle_connection_unblocked(self, _: aiormq.spec.Connection.Unblocked) -> None:
        self.blocked = ""


def raise_if_blocked(where: str, connection: Connection) -> None:
    """Raises StoreUnavailableError while the server is there and takes no messages."""
    if connection.blocked:
        raise StoreUnavailableError(
            _(
                "RabbitMQ at {where} takes no messages now: {reason}. Give it more memory or disk;"
                " it goes on by itself then."
            ).format(where=where, reason=connection.blocked)
        )


class Link:
    """One connection, kept.

    Args:
        address: where to.
        purpose: what it is for, as people see it in RabbitMQ's list of connections.
        prepare: makes on a new connection what is needed before it is used. Raises ConfigError
            where the server cannot be trusted as it is set up.
    """

    def __init__(
        self,
        address: Address,
        purpose: str,
        prepare: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        self.where = address.where
        self.refusal: ConfigError | None = None
        """The server is there, and set up in a way that is refused."""
        self._url, self._purpose, self._prepare = address.url, purpose, prepare
        self._connection: Connection | None = None
        self._failure: StoreError = unavailable(self.where, _("it has not been reached yet"))
        self._told = ""
        self._tried, self._up = asyncio.Event(), asyncio.Event()
        self._dropped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect, and to stay connected."""
        self._task = asyncio.create_task(self._run())

    async def tried(self, within_s: float) -> None:
        """Wait until it is known whether the server can be used, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._tried.wait()

    async def close(self) -> None:
        """Disconnect, and stay so."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    @property
    def error(self) -> str:
        """Why the server takes no messages, in a sentence; "" while it takes them."""
        try:
            raise_if_blocked(self.where, self.live())
        except StoreError as error:
            return str(error)
        return ""

    def live(self) -> Connection:
        """The connection as it is now.

        Raises:
            StoreError: there is none.
        """
        if self._connection is None or self._connection.is_closed or self._dropped.is_set():
            raise self._failure
        return self._connection

    async def connected(self) -> Connection:
        """The connection, once there is one."""
        while True:
            await self._up.wait()
            with suppress(StoreError):
                return self.live()
            await asyncio.sleep(PAUSES_S[0])  # it has just ended

    def drop(self, failure: StoreError) -> None:
        """This connection is of no use any more: make another."""
        self._failure = failure
        self._dropped.set()

    async def _run(self) -> None:
        pause_s, pause_max_s = PAUSES_S
        while True:
            try:
                await self._stay_connected()
                pause_s = PAUSES_S[0]
            except StoreError as error:
                self._failure = error
            except ConfigError as error:
                self.refusal, self._failure = error, StoreUnavailableError(str(error))
            except Exception as error:  # noqa: BLE001  (a supervisor: logged, and told)
                _log.exception("rabbitmq.link_failed", purpose=self._purpose)
                self._failure = unavailable(self.where, type(error).__name__)
            self._tell(str(self._failure))
            self._tried.set()
            await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311  (no secret)
            pause_s = min(pause_s * 2, pause_max_s)

    async def _stay_connected(self) -> None:
        connection = Connection(self._url)
        try:
            async with asking(self.where, CONNECT_S):
                await connection.connect({"connection_name": f"comporta {self._purpose}"})
            if self._prepare is not None:
                async with asking(self.where, PREPARE_S):
                    await self._prepare(connection)
            self._dropped.clear()
            self._connection, self.refusal = connection, None
            self._failure = unavailable(self.where, _("the connection ended"))
            self._tell("")
            self._tried.set()
            self._up.set()
            await self._until_it_ends(connection)
        finally:
            self._connection = None
            self._up.clear()
            await _end(connection)

    async def _until_it_ends(self, connection: Connection) -> None:
        # Not awaited itself: how it ended may be told as a cancellation, which is not ours.
        dropped = asyncio.create_task(self._dropped.wait())
        try:
            await asyncio.wait({connection.closing, dropped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            dropped.cancel()

    def _tell(self, error: str) -> None:
        """A line in the log only when something changes, not for every attempt."""
        if error and not self._told:
            _log.error("rabbitmq.unavailable", purpose=self._purpose, error=error)
        elif self._told and not error:
            _log.info("rabbitmq.connected", purpose=self._purpose)
        self._told = error


async def _end(connection: Connection) -> None:
    """Close it; a server that is silent is not waited for."""
    with suppress(StoreError):
        async with asking("", CLOSE_S):
            await connection.close()
