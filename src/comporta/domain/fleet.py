"""The fleet: instances with their sources, destinations, and the routes between them.

The fleet is one versioned document. It is replaced as a whole, so a change is either live
everywhere or nowhere. Tokens are kept as digests; secrets are sealed (see `comporta.vault`).
"""

from enum import StrEnum

import msgspec

from comporta.domain.backoff import DEFAULT_WAITS_S
from comporta.domain.classes import EventClass
from comporta.domain.rate import Rate

Scalar = str | int | bool
PARK_S = 3600.0


class SourceKind(StrEnum):
    """The three ways in which Chatwoot calls; they differ in what a failure costs."""

    ACCOUNT = "account"
    API_INBOX = "api_inbox"
    AGENT_BOT = "agent_bot"


class Format(StrEnum):
    """What a destination gets as its body; see `comporta.destinations.shape`."""

    RAW = "raw"
    """Chatwoot's bytes, untouched."""
    CLOUDEVENTS = "cloudevents"
    """The same bytes, with the headers of CloudEvents 1.0 in binary mode."""
    JMESPATH = "jmespath"
    """What an expression makes of them, as JSON."""


class Token(msgspec.Struct, frozen=True, omit_defaults=True):
    """A source's token, as it is kept: never in the clear."""

    digest: str
    """SHA-256 of the token, lower-case hexadecimal."""
    hint: str = ""
    """The first characters, so that a person can tell tokens apart; "" for short ones."""
    ref: str = ""
    """Where the operator keeps it (`env:NAME`, `file:PATH`), so that an export can say so."""


class Secret(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signing secret: sealed at rest, opened only in memory."""

    sealed: str
    ref: str = ""


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """One webhook URL given to an instance."""

    id: str
    name: str
    kind: SourceKind
    tokens: tuple[Token, ...]
    secrets: tuple[Secret, ...] = ()


class Instance(msgspec.Struct, frozen=True, omit_defaults=True):
    """One Chatwoot installation."""

    id: str
    name: str
    url: str = ""
    sources: tuple[Source, ...] = ()


class Destination(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where deliveries go."""

    id: str
    name: str
    url: str
    secret: Secret | None = None
    """For Standard Webhooks signing; None: deliveries are not signed."""
    timeout_s: float = 10.0
    """For the whole attempt."""
    retry: tuple[float, ...] = DEFAULT_WAITS_S
    """Seconds to wait before attempt 2, 3, …; after the last one fails, a dead letter."""
    rate: Rate | None = None
    """How fast it may be called, over all workers; None: as fast as it answers."""
    concurrency: int = 0
    """Attempts at a time, over all workers; 0: the setting `concurrency`."""
    instance_concurrency: int = 0
    """Attempts at a time for any one instance; 0: three quarters of the concurrency."""
    park_s: float = PARK_S
    """How long the head of a lane may fail while the destination works for others, seconds."""
    classes: dict[str, EventClass] = {}
    """Event type or pattern → class, before the defaults of `comporta.domain.classes`: the first
    that fits."""
    format: Format = Format.RAW
    transform: str = ""
    """The JMESPath expression, if that is the format."""
    headers: dict[str, Secret] = {}
    """Further headers of each request: lower-case name → value."""
    paused: str = msgspec.field(default="", name="disabled")
    """Why nothing is sent there ("answered 410 Gone …"), while what is owed waits; "": it is sent.

    (In stored documents it has its first name, so that every version reads every other's.)
    """
    managed: str = ""
    """Who keeps it ("handlers"), so that fleet files leave it alone; "": a person."""


class Route(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule: events of these instances, of these types, with these fields, go to these places."""

    id: str
    name: str
    to: tuple[str, ...]
    """Names of destinations."""
    instances: tuple[str, ...] = ("*",)
    events: tuple[str, ...] = ("*",)
    where: dict[str, tuple[Scalar, ...]] = {}
    """Condition → the values asked for; all must hold. See `comporta.domain.conditions`."""
    managed: str = ""
    """As of a destination."""


class Fleet(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of it. `version` rises by one with each change; 0 is the empty fleet of a new ledger."""

    version: int = 0
    instances: tuple[Instance, ...] = ()
    destinations: tuple[Destination, ...] = ()
    routes: tuple[Route, ...] = ()
