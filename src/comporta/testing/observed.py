"""What a sink learns from deliveries: repeats, disorder, gaps and lag, in bounded memory.

It judges by the ids that the gateway sends and by the markers that the emulator hides in the
bodies. No I/O and no clock.
"""

from collections import OrderedDict, deque

import msgspec

from comporta.testing.histogram import Histogram

SUBJECTS_MAX = 100_000
"""Conversations and contacts remembered; the longest silent one is forgotten first."""
IDS_MAX = 200_000
"""Newest `webhook-id`s remembered, for finding repeats."""
GAPS_MAX = 4_096
"""Missing numbers remembered for each subject."""
RING_MAX = 1_000
"""Newest arrivals kept for people to look at."""


class Marker(msgspec.Struct, frozen=True, gc=False):
    """What the emulator hides in a body. `run` is "" where there is no marker."""

    run: str = ""
    seq: int = 0
    at_ms: int = 0


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A delivery that reached the sink."""

    path: str
    webhook_id: str
    instance: str
    """The `comporta-instance` header, or ""."""
    event_type: str
    account_id: int | None
    subject: str
    """`conversation:12`, `contact:7`, or ""."""
    marker: Marker
    digest: bytes
    """SHA-256 of the body."""
    arrived_at_ms: int
    """Unix milliseconds."""
    status: int
    """The sink's answer; 0: none was given."""


class _Attributes(msgspec.Struct, frozen=True, gc=False):
    comporta: Marker = Marker()


class _Account(msgspec.Struct, frozen=True, gc=False):
    id: int | None = None


class _Conversation(msgspec.Struct, frozen=True, gc=False):
    id: int | None = None
    account: _Account | None = None
    custom_attributes: _Attributes = _Attributes()


class _Body(msgspec.Struct, frozen=True, gc=False):
    event: str = ""
    id: int | None = None
    account: _Account | None = None
    conversation: _Conversation | None = None
    content_attributes: _Attributes = _Attributes()
    custom_attributes: _Attributes = _Attributes()


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What a body says about itself; all empty if it is nothing that Chatwoot sends."""

    event_type: str = ""
    account_id: int | None = None
    subject: str = ""
    marker: Marker = Marker()


_decoder = msgspec.json.Decoder(_Body)


def look(body: bytes) -> Seen:
    """Read a body's event type, account, subject and marker."""
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Seen()
    thing = found.conversation
    marker = found.content_attributes.comporta
    if not marker.run:
        marker = (thing or found).custom_attributes.comporta
    about = "contact" if found.event.startswith("contact_") else "conversation"
    number = thing.id if thing else found.id
    account = found.account or (thing and thing.account)
    return Seen(
        found.event, account.id if account else None, f"{about}:{number}" if number else "", marker
    )


class SinkReport(msgspec.Struct, frozen=True):
    """What a sink saw. Everything from `unique` on counts accepted deliveries only."""

    arrivals: int
    accepted: int
    """Answered with 200."""
    refused: int
    """Answered otherwise on purpose, by the behaviour that was asked for."""
    unanswered: int
    """Left hanging, cut, or given up by the sender before the answer."""
    bad_signatures: int
    """Answered 401, because the signature was missing, wrong or old."""
    malformed: int
    """Requests that are no deliveries: not HTTP, too large, another method."""
    unique: int
    """`accepted` − `duplicates`."""
    duplicates: int
    """Repeats, by id or by marker."""
    duplicates_by_id: int
    duplicates_by_marker: int
    disorder: int
    """First arrivals of an event after a later one of the same conversation or contact."""
    missing: int
    """Numbers left out so far: never sent, or not here yet."""
    unmarked: int
    """Without a marker: not from the emulator, so order and lag are not known."""
    subjects_forgotten: int
    """Conversations and contacts dropped from memory; above 0, the counts are not exact."""
    lag_p50_ms: float
    """From the emulator's making of the body to its arrival here."""
    lag_p99_ms: float
    lag_max_ms: float


class _Progress:
    """How far the numbers of one subject have come."""

    __slots__ = ("gaps", "high")

    def __init__(self) -> None:
        self.high = 0
        self.gaps: set[int] = set()


class Observed:
    """Takes arrivals and judges them."""

    def __init__(self) -> None:
        self.newest: deque[Arrival] = deque(maxlen=RING_MAX)
        self.bad_signatures = self.malformed = 0
        self._arrivals = self._accepted = self._refused = self._unanswered = 0
        self._by_id = self._by_marker = self._duplicates = 0
        self._disorder = self._missing = self._unmarked = self._forgotten = 0
        self._lag = Histogram()
        self._ids: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._subjects: OrderedDict[tuple[str, ...], _Progress] = OrderedDict()

    def add(self, arrival: Arrival) -> None:
        """Count one arrival, with the answer it got."""
        self.newest.append(arrival)
        self._arrivals += 1
        if arrival.status == 0:
            self._unanswered += 1
        elif not 200 <= arrival.status < 300:  # noqa: PLR2004
            self._refused += 1
        else:
            self._accept(arrival)

    def _accept(self, arrival: Arrival) -> None:
        self._accepted += 1
        known_id = self._id_is_known(arrival)
        known_marker = False
        if arrival.marker.run:
            known_marker = self._place(arrival)
        else:
            self._unmarked += 1
        self._by_id += known_id
        self._by_marker += known_marker
        self._duplicates += known_id or known_marker
        if arrival.marker.run and not (known_id or known_marker):
            self._lag.add((arrival.arrived_at_ms - arrival.marker.at_ms) / 1000)

    def _id_is_known(self, arrival: Arrival) -> bool:
        if not arrival.webhook_id:
            return False
        key = (arrival.path, arrival.webhook_id)
        if key in self._ids:
            return True
        self._ids[key] = None
        if len(self._ids) > IDS_MAX:
            self._ids.popitem(last=False)
        return False

    def _place(self, arrival: Arrival) -> bool:
        """Put an event's number in its place; True if it was there before."""
        progress = self._progress(arrival)
        seq = arrival.marker.seq
        if seq > progress.high:
            skipped = range(max(progress.high + 1, seq - GAPS_MAX), seq)
            progress.gaps.update(skipped)
            self._missing += len(skipped)
            progress.high = seq
            while len(progress.gaps) > GAPS_MAX:
                progress.gaps.remove(min(progress.gaps))
            return False
        if seq not in progress.gaps:
            return True
        progress.gaps.remove(seq)
        self._missing -= 1
        self._disorder += 1
        return False

    def _progress(self, arrival: Arrival) -> _Progress:
        key = (
            arrival.path,
            arrival.instance,
            arrival.marker.run,
            arrival.subject,
        )
        progress = self._subjects.get(key)
        if progress is None:
            progress = self._subjects[key] = _Progress()
            if len(self._subjects) > SUBJECTS_MAX:
                self._subjects.popitem(last=False)
                self._forgotten += 1
        else:
            self._subjects.move_to_end(key)
        return progress

    def report(self) -> SinkReport:
        """The counts so far."""
        return SinkReport(
            arrivals=self._arrivals + self.bad_signatures,
            accepted=self._accepted,
            refused=self._refused,
            unanswered=self._unanswered,
            bad_signatures=self.bad_signatures,
            malformed=self.malformed,
            unique=self._accepted - self._duplicates,
            duplicates=self._duplicates,
            duplicates_by_id=self._by_id,
            duplicates_by_marker=self._by_marker,
            disorder=self._disorder,
            missing=self._missing,
            unmarked=self._unmarked,
            subjects_forgotten=self._forgotten,
            lag_p50_ms=self._lag.percentile_ms(0.5),
            lag_p99_ms=self._lag.percentile_ms(0.99),
            lag_max_ms=self._lag.max_ms,
        )
