"""An emulator of many Chatwoots: it sends webhooks as they do, with their manners.

A new connection for each webhook, at most ten at a time for each Chatwoot, 5 s to connect and 5 s
to answer, any 2xx is success; what fails is gone, except for bots, which are tried three times on
429 and exactly 500. Redirects are not followed. Events of one conversation are sent one after
another, which real Chatwoots do not promise: so a sink can tell whether the gateway kept order.
Source of the manners: Chatwoot 4.15.1, `lib/webhooks/trigger.rb`, `app/jobs`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from random import Random
from uuid import uuid4

from comporta.chatwoot.signature import sign
from comporta.domain.fleet import SourceKind
from comporta.testing.conversations import Account, Body, Conversation
from comporta.testing.http_client import Address, post_once, resolve
from comporta.testing.loop import run
from comporta.testing.pacing import Pacer
from comporta.testing.simulation import (
    NOT_CONNECTED,
    TIMED_OUT,
    Acknowledged,
    SimulatedChatwoot,
    SimulationPlan,
    SimulationSummary,
    Tally,
    accepted,
)

OnProgress = Callable[[SimulationSummary], None]
OnAck = Callable[[Acknowledged], None]

_HEADERS = (
    "Content-Type: application/json\r\n"
    "Accept: application/json\r\n"
    "Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3\r\n"
    "User-Agent: Ruby\r\n"
)
_BOT_TRIES = 3
_BOT_RETRIED = frozenset({429, 500})
_JITTER = 0.15
_ARREARS_S_MAX = 1.0
_UNREACHABLE_PAUSE_S = 0.1
"""A conversation rests this long after a refused connection, so that a gateway that is down is not
met by a busy loop."""
_PROGRESS_EVERY_S = 0.25


async def simulate(
    plan: SimulationPlan,
    on_progress: OnProgress | None = None,
    on_ack: OnAck | None = None,
    ended: Callable[[], bool] = lambda: False,
) -> SimulationSummary:
    """Send what the plan says; webhooks under way at its end are finished.

    Args:
        plan: what to send.
        on_progress: called four times a second, and at the end, with the summary so far.
        on_ack: called for each event that was answered with 2xx.
        ended: asked before each event; True ends it before the plan does.

    Raises:
        ValueError: a webhook URL cannot be used.
        OSError: a webhook URL's host name does not resolve.
    """
    simulation = _Simulation(plan, on_ack, ended)
    chatwoots = await _prepare(plan)
    async with asyncio.TaskGroup() as group:
        ticker = group.create_task(simulation.report_to(on_progress)) if on_progress else None
        async with asyncio.TaskGroup() as conversations:
            for _ in range(plan.conversations):
                for chatwoot in chatwoots:
                    conversations.create_task(simulation.converse(chatwoot))
        if ticker:
            ticker.cancel()
    if on_progress:
        on_progress(simulation.summary())
    return simulation.summary()


def run_simulation(
    plan: SimulationPlan, on_progress: OnProgress | None = None, on_ack: OnAck | None = None
) -> SimulationSummary:
    """`simulate`, for callers without an event loop."""
    return run(simulate(plan, on_progress, on_ack))


class _Chatwoot:
    """One emulated Chatwoot while it runs."""

    def __init__(
        self, told: SimulatedChatwoot, address: Address, account: Account, threads: int
    ) -> None:
        self.name = told.name
        self.account = account
        self.address = address
        self.is_bot = told.kind is SourceKind.AGENT_BOT
        self.threads = asyncio.Semaphore(threads)
        self._secret = told.secret if told.signed else None
        self._head = address.head(_HEADERS)

    def request(self, body: bytes, delivery: str) -> bytes:
        """The whole HTTP request; signed anew for each try, as the timestamp is."""
        lines = f"{len(body)}\r\nX-Chatwoot-Delivery: {delivery}\r\n"
        if self._secret:
            timestamp = str(int(time.time()))
            signature = sign(self._secret, timestamp, body)
            lines += f"X-Chatwoot-Timestamp: {timestamp}\r\nX-Chatwoot-Signature: {signature}\r\n"
        return b"%b%b\r\n%b" % (self._head, lines.encode(), body)


async def _prepare(plan: SimulationPlan) -> list[_Chatwoot]:
    accounts: Counter[str] = Counter()
    chatwoots = []
    for index, told in enumerate(plan.chatwoots):
        accounts[told.name] += 1
        # Account and conversation numbers repeat from one Chatwoot to the next, as in life; the run
        # in the marker does not, so that a sink tells them apart without the gateway's help.
        account = Account(
            told.name,
            told.kind,
            accounts[told.name],
            f"{plan.run}/{index}",
            Random(f"{plan.seed}/{index}"),  # noqa: S311  (stories, not secrets)
        )
        address = await resolve(told.webhook_url)
        chatwoots.append(_Chatwoot(told, address, account, plan.concurrency))
    return chatwoots


class _Simulation:
    """What all emulated Chatwoots share while a plan runs."""

    def __init__(
        self, plan: SimulationPlan, on_ack: OnAck | None, ended: Callable[[], bool]
    ) -> None:
        self._plan = plan
        self._on_ack = on_ack
        self._ended = ended
        self._tally = Tally()
        self._began_at = time.perf_counter()
        self._pacer = Pacer(plan.rate_per_s, plan.events, plan.duration_s, _ARREARS_S_MAX)

    def summary(self) -> SimulationSummary:
        return self._tally.summary(time.perf_counter() - self._began_at)

    async def report_to(self, on_progress: OnProgress) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_EVERY_S)
            on_progress(self.summary())

    async def converse(self, chatwoot: _Chatwoot) -> None:
        """One conversation after another, until the plan is at its end."""
        while True:
            conversation = Conversation(chatwoot.account, time.time())
            for step in conversation.steps():
                if await self._pacer.next() is None or self._ended():
                    return
                async with chatwoot.threads:
                    body = conversation.render(step, time.time())
                    status = await self._webhook(chatwoot, body)
                if status == NOT_CONNECTED:
                    await asyncio.sleep(_UNREACHABLE_PAUSE_S)

    async def _webhook(self, chatwoot: _Chatwoot, body: Body) -> int:
        delivery = str(uuid4())
        status, ack_s = await self._try(chatwoot, body, delivery)
        tries = 1
        while chatwoot.is_bot and status in _BOT_RETRIED and tries < _BOT_TRIES:
            await self._rest(chatwoot)
            status, ack_s = await self._try(chatwoot, body, delivery)
            tries += 1
        self._tally.retries += tries - 1
        self._tally.add(body.event_type, status, ack_s)
        if self._on_ack and accepted(status):
            self._on_ack(_acknowledged(chatwoot, body))
        return status

    async def _rest(self, chatwoot: _Chatwoot) -> None:
        """Wait for a bot's next try; the thread does other work meanwhile."""
        chatwoot.threads.release()
        try:
            jitter = chatwoot.account.random.random() * _JITTER
            await asyncio.sleep(self._plan.bot_retry_s * (1 + jitter))
        finally:
            await chatwoot.threads.acquire()

    async def _try(self, chatwoot: _Chatwoot, body: Body, delivery: str) -> tuple[int, float]:
        """One request: its status (or what stands for it), and how long it took (seconds)."""
        request = chatwoot.request(body.data, delivery)
        began_at = time.perf_counter()  # an event loop's own clock may be as coarse as 1 ms
        try:
            status = await post_once(
                chatwoot.address, request, self._plan.open_timeout_s, self._plan.read_timeout_s
            )
        except TimeoutError:
            status = TIMED_OUT
        except OSError:
            status = NOT_CONNECTED
        return status, time.perf_counter() - began_at


def _acknowledged(chatwoot: _Chatwoot, body: Body) -> Acknowledged:
    return Acknowledged(
        chatwoot=chatwoot.name,
        account_id=chatwoot.account.id,
        subject=body.subject,
        seq=body.seq,
        event_type=body.event_type,
        digest=sha256(body.data).digest(),
    )
