"""Emulated Chatwoots before a gateway, a sink behind it, and the judge of what happened between.

The judge's oracle is conservation: what was acknowledged is owed until it has arrived. It knows
neither the gateway nor its stores.
"""

import asyncio
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from tests.support.gateway import Gateway

from comporta.domain.fleet import SourceKind
from comporta.testing.emulator import simulate
from comporta.testing.observed import Arrival
from comporta.testing.simulation import Acknowledged, SimulatedChatwoot, SimulationPlan
from comporta.testing.simulation import SimulationSummary as Summary
from comporta.testing.sink import Sink

SECRET = "k3VqWb9ZtR2mXy7LcN5dPs8A"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KINDS = {"loja-sp": SourceKind.ACCOUNT, "api": SourceKind.API_INBOX, "robo": SourceKind.AGENT_BOT}
INSTANCES = "".join(
    f"""
[[instance]]
name = "{name}"
[[instance.source]]
name = "fonte"
kind = "{kind}"
token = "token-of-the-instance-{name}"
secrets = ["{SECRET}"]
"""
    for name, kind in KINDS.items()
)

EVERYTHING = f"""
[[destination]]
name = "sink"
url = "URL"
secret = "{WHSEC}"
timeout_s = 5
retry = [{", ".join(["0.5"] * 20)}]
classes = {{ "*" = "ordered" }}
[[route]]
name = "tudo"
to = ["sink"]
"""
"""All of it in order to one destination, which is tried again soon and for long."""


def chatwoots(gateway: Gateway) -> tuple[SimulatedChatwoot, ...]:
    """One of each kind, as `INSTANCES` knows them."""
    return tuple(
        SimulatedChatwoot(name, kind, f"{gateway.url}/webhook/token-of-the-instance-{name}", SECRET)
        for name, kind in KINDS.items()
    )


class Judge:
    """Keeps what was acknowledged and what reached the destination, in order."""

    def __init__(self) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.reached: list[Arrival] = []
        self.arrived: list[Arrival] = []
        """Of `reached`: what was answered with 200."""

    def arrival(self, arrival: Arrival) -> None:
        self.reached.append(arrival)
        if arrival.status == 200:
            self.arrived.append(arrival)

    @property
    def owed(self) -> set[bytes]:
        """Digests of what was acknowledged and has not arrived."""
        return {one.digest for one in self.acknowledged} - {one.digest for one in self.arrived}

    def more_than(self, count: int) -> Callable[[], bool]:
        """Whether so many more than now were acknowledged."""
        now = len(self.acknowledged)
        return lambda: len(self.acknowledged) > now + count

    def passes(self, count: int) -> Callable[[], bool]:
        """Whether so many more than now have arrived."""
        now = len(self.arrived)
        return lambda: len(self.arrived) > now + count

    def repeated(self) -> Iterable[Arrival]:
        """Each arrival that was answered with 200 and came again all the same."""
        last: dict[bytes, Arrival] = {}
        for arrival in self.reached:
            if arrival.digest in last:
                yield last.pop(arrival.digest)
            if arrival.status == 200:
                last[arrival.digest] = arrival

    @property
    def repeats(self) -> int:
        return len(self.arrived) - len({one.digest for one in self.arrived})

    def disorder(self) -> list[tuple[str, str, list[int]]]:
        """Conversations whose acknowledged events were first brought in another order.

        An event that was not acknowledged (its worker was frozen until the Chatwoot gave up) may
        come late: nobody was promised anything about it.
        """
        known = {one.digest: one for one in self.acknowledged}
        order: dict[tuple[str, str], dict[int, None]] = defaultdict(dict)
        for arrival in self.reached:
            ack = known.get(arrival.digest)
            if ack is not None:
                order[ack.chatwoot, ack.subject].setdefault(ack.seq)
        return [(*key, list(seqs)) for key, seqs in order.items() if list(seqs) != sorted(seqs)]

    def report(self, summary: Summary | None, drained_s: float) -> str:
        unknown = {one.digest for one in self.arrived} - {one.digest for one in self.acknowledged}
        times = Counter(Counter(one.digest for one in self.arrived).values())
        return (
            f"acknowledged {len(self.acknowledged)}, reached {len(self.reached)}, "
            f"arrived {len(self.arrived)}, repeats {self.repeats} ({dict(times)}), "
            f"not acknowledged but arrived {len(unknown)}, drained in {drained_s:.1f} s; {summary}"
        )


class Load:
    """Emulated Chatwoots and a sink, on a thread and event loop of their own.

    Args:
        sink: where it delivers; not listening yet.
        judge: hears of what is acknowledged; the sink tells it what arrives.
        plan: what they send.
    """

    def __init__(self, sink: Sink, judge: Judge, plan: SimulationPlan) -> None:
        self.summary: Summary | None = None
        self.so_far: Summary | None = None
        """Of what is known about four times a second."""
        self.sink = sink
        self._judge, self._plan = judge, plan
        self._loop: asyncio.AbstractEventLoop
        self._done = threading.Event()
        self._stopped = threading.Event()
        self.listening = threading.Event()
        self.begin = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    @property
    def over(self) -> bool:
        return self.summary is not None

    def stop(self) -> None:
        """End it before its plan does; what is under way is finished."""
        self._stopped.set()

    def finish(self) -> None:
        """End it all, even before its plan does: a test that has failed does not wait for that."""
        self.stop()
        self.begin.set()
        self._done.set()
        self.thread.join()

    def call(self, what: Coroutine[Any, Any, Any]) -> None:
        """Run something on the loop of the sink, to its end."""
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with self.sink:
            self.listening.set()
            await asyncio.to_thread(self.begin.wait)
            self.summary = await simulate(
                self._plan,
                on_progress=self._progress,
                on_ack=self._judge.acknowledged.append,
                ended=self._stopped.is_set,
            )
            await asyncio.to_thread(self._done.wait)

    def _progress(self, summary: Summary) -> None:
        self.so_far = summary
