"""What is simulated and what came of it: the plan, the summary, and the counting between them.

Data and arithmetic only; the emulator does the work.
"""

from collections import Counter

import msgspec

from comporta.domain.fleet import SourceKind
from comporta.testing.histogram import Histogram


class SimulatedChatwoot(msgspec.Struct, frozen=True):
    """One installation's webhook. Its repr leaves out the URL (it may carry a token) and secret."""

    name: str
    """The instance's slug. The same name twice: two accounts of one installation."""
    kind: SourceKind
    webhook_url: str
    secret: str | None = None
    """Chatwoot's signing secret, used as plain text."""
    signed: bool = True
    """False, or no secret: sent as Chatwoot 4.11.1 and older do, without a signature."""

    def __repr__(self) -> str:
        return f"SimulatedChatwoot({self.name!r}, {self.kind.value})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """Keep pretty-printers from showing more than `repr` does."""
        return [("name", self.name), ("kind", self.kind.value)]


class SimulationPlan(msgspec.Struct, frozen=True):
    """What to send, and when to stop: after `events`, after `duration_s`, whichever is first."""

    chatwoots: tuple[SimulatedChatwoot, ...]
    rate_per_s: float = 0.0
    """Events a second over all installations; 0: as fast as the answers allow."""
    events: int | None = None
    duration_s: float | None = None
    concurrency: int = 10
    """Webhooks in flight for each Chatwoot: Sidekiq's default number of threads."""
    conversations: int = 20
    """Conversations going on at the same time in each Chatwoot."""
    open_timeout_s: float = 5.0
    read_timeout_s: float = 5.0
    bot_retry_s: float = 3.0
    """The pause before a bot's webhook is tried again; up to 15 % are added."""
    seed: int = 0
    """The same seed tells the same stories."""
    run: str = "simulation"
    """Names this run in the markers, so that a sink can tell runs apart."""

    def __post_init__(self) -> None:
        """Refuse a plan that has no end or cannot send."""
        if self.events is None and self.duration_s is None:
            raise ValueError("a simulation needs an end: a number of events or a duration")
        if not self.chatwoots or self.concurrency < 1 or self.conversations < 1:
            raise ValueError("a simulation needs a Chatwoot, a connection and a conversation")
        if self.rate_per_s < 0:
            raise ValueError("the rate cannot be negative")


class Acknowledged(msgspec.Struct, frozen=True, gc=False):
    """An event that was answered with 2xx: from now on the gateway owes it."""

    chatwoot: str
    account_id: int
    subject: str
    """`conversation:12` or `contact:7`."""
    seq: int
    """From 1, rising by one with each event of the subject."""
    event_type: str
    digest: bytes
    """SHA-256 of the body."""


class SimulationSummary(msgspec.Struct, frozen=True):
    """`sent` = `accepted` + all of `refused` + `timeouts` + `connection_errors`."""

    sent: int
    """Events whose last try has ended."""
    accepted: int
    """Answered with 2xx."""
    refused: dict[int, int]
    """Other status → how many events ended with it."""
    timeouts: int
    """Not connected or not answered in time; the gateway may have taken them in all the same."""
    connection_errors: int
    """Refused or cut; if cut, the gateway may have taken them in all the same."""
    retries: int
    """Further tries of bot webhooks."""
    by_event_type: dict[str, int]
    duration_s: float
    rate_per_s: float
    ack_p50_ms: float
    """Of accepted events, from the start of connecting to the whole answer."""
    ack_p99_ms: float
    ack_max_ms: float


TIMED_OUT = -1
"""Stands where a status would be: no connection or no answer in time."""
NOT_CONNECTED = -2
"""Stands where a status would be: refused, cut, or not HTTP."""


def accepted(status: int) -> bool:
    """Whether Chatwoot takes an answer for success."""
    return 200 <= status < 300  # noqa: PLR2004


class Tally:
    """Counts what came of each event, in fixed memory."""

    def __init__(self) -> None:
        self.retries = 0
        self._statuses: Counter[int] = Counter()
        self._types: Counter[str] = Counter()
        self._acks = Histogram()

    def add(self, event_type: str, status: int, ack_s: float) -> None:
        """Count one event with the status of its last try."""
        self._types[event_type] += 1
        if accepted(status):
            self._acks.add(ack_s)
        else:
            self._statuses[status] += 1

    def summary(self, duration_s: float) -> SimulationSummary:
        """What was counted so far."""
        sent = self._acks.count + self._statuses.total()
        return SimulationSummary(
            sent=sent,
            accepted=self._acks.count,
            refused={status: n for status, n in sorted(self._statuses.items()) if status > 0},
            timeouts=self._statuses[TIMED_OUT],
            connection_errors=self._statuses[NOT_CONNECTED],
            retries=self.retries,
            by_event_type=dict(self._types.most_common()),
            duration_s=duration_s,
            rate_per_s=sent / duration_s if duration_s > 0 else 0.0,
            ack_p50_ms=self._acks.percentile_ms(0.5),
            ack_p99_ms=self._acks.percentile_ms(0.99),
            ack_max_ms=self._acks.max_ms,
        )
