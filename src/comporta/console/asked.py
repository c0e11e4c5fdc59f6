"""What the admin API is asked with, as pydantic models. The rules of the fleet stand in `fleet`."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from comporta.domain.backoff import DEFAULT_WAITS_S
from comporta.domain.delivery import DeliveryState
from comporta.domain.fleet import PARK_S, Format, SourceKind
from comporta.fleet.declared import (
    CREDENTIALS_MAX,
    LIST_MAX,
    TEXT_CHARS_MAX,
    TIMEOUT_S_DEFAULT,
    WAITS_MAX,
)
from comporta.ledger.admin import Scope
from comporta.ledger.bulk import STEP_MAX
from comporta.ledger.port import Bulk

Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX)]
Texts = Annotated[list[Text], Field(max_length=LIST_MAX)]


IDS_MAX = 1000
REASON_CHARS_MAX = 200


class Asked(BaseModel):
    """The root of all of them."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class InstanceAsked(Asked):
    """An instance to be added."""

    name: Text
    url: Text = ""
    """Where this Chatwoot is, for people."""


class SourceAsked(Asked):
    """A source to be added."""

    name: Text
    kind: SourceKind = SourceKind.ACCOUNT
    token: Text | None = None
    """One of your own; without it one is made, and shown once."""
    secrets: Annotated[list[Text], Field(max_length=CREDENTIALS_MAX)] = []
    """Chatwoot's signing secrets."""


class TokenAsked(Asked):
    """A token to be added."""

    token: Text | None = None
    """One of your own; without it one is made, and shown once."""


class SecretAsked(Asked):
    """A signing secret to be added or removed."""

    secret: Text


class OptionsAsked(Asked):
    """What may be said of a destination besides its name and URL: the keys of the fleet file."""

    secret: Text | None = None
    """For Standard Webhooks: whsec_ and 24 to 64 bytes in base64; null: not signed."""
    timeout_s: float = TIMEOUT_S_DEFAULT
    retry: Annotated[tuple[float, ...], Field(max_length=WAITS_MAX)] = DEFAULT_WAITS_S
    """Seconds to wait before attempts 2, 3, …"""
    rate: Text | None = None
    """50/s, 600/min, 1000/h; null: no limit."""
    burst: int = 1
    """So many calls at once after a pause; as many as in a second if it is left out."""
    concurrency: int = 0
    instance_concurrency: int = 0
    park_s: float = PARK_S
    classes: dict[Text, Text | None] = {}
    """Event type or pattern → ordered, conflated or ephemeral; null: no longer."""
    format: Text = Format.RAW.value
    transform: Text = ""
    headers: dict[Text, Text | None] = {}
    """Name → value; null: no longer."""


class DestinationAsked(OptionsAsked):
    """A destination to be added: the keys of the fleet file's `[[destination]]`."""

    name: Text
    url: Text


class DestinationChanged(OptionsAsked):
    """A destination to be changed: what is left out stays as it is."""

    url: Text | None = None


class RouteAsked(Asked):
    """A route to be added: the keys of the fleet file's `[[route]]`."""

    name: Text
    to: Texts
    instances: Texts = ["*"]
    events: Texts = ["*"]
    where: dict[str, Any] = {}


class ReasonAsked(Asked):
    """Why a destination is paused."""

    reason: Text = ""


class SampleAsked(Asked):
    """What something is tried with: a stored event; or a body, and whose it is."""

    event: Text | None = None
    """evt_…, and nothing else of these then."""
    instance: Text | None = None
    """The name of the instance that the body is taken to come from."""
    body: str | None = None
    """As Chatwoot sends it: JSON, as text."""
    body_base64: str | None = None
    """The same in base64, in its place: for bytes that are no UTF-8."""


class RouteTrialAsked(SampleAsked):
    """An event to be tried on routes; a body needs an instance of the fleet."""

    route: Text | None = None
    """Only this route."""


class DeliveriesAsked(Asked):
    """Which deliveries are meant. Nothing chosen: none, unless `all` is true."""

    state: DeliveryState | None = None
    destination: Text | None = None
    """Its name, or its id."""
    instance: Text | None = None
    event_type: Text | None = None
    route: Text | None = None
    event: Text | None = None
    """evt_…"""
    deliveries: Annotated[list[Text], Field(max_length=IDS_MAX)] = []
    """dlv_…, and nothing else then."""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    failed_with: Text | None = None
    """A part of the reason why it failed."""
    all: bool = False


class MatchAsked(DeliveriesAsked):
    """What a change in bulk would take."""

    what: Bulk


class StepAsked(DeliveriesAsked):
    """One step of a change in bulk."""

    limit: Annotated[int, Field(ge=1, le=STEP_MAX)] = STEP_MAX
    cursor: Text | None = None
    """The `next` of the step before."""


class ReplayAsked(StepAsked):
    """One step of a replay."""

    to: Text | None = None
    """Deliver to this destination instead."""
    speed: Text | None = None
    """50/s, 600/min, or 20x: the gaps between the events, twenty times shorter."""


class DiscardAsked(StepAsked):
    """One step of a discard."""

    reason: Annotated[str, Field(max_length=REASON_CHARS_MAX)] = ""


class ApiKeyAsked(Asked):
    """An API key to be made."""

    name: Text
    scope: Scope


class SourceDeclared(Asked):
    """A source: the keys of the fleet file's `[[instance.source]]`."""

    name: Text
    kind: Text
    token: Text | None = None
    tokens: Texts | None = None
    secrets: Texts | None = None


class InstanceDeclared(InstanceAsked):
    """An instance with its sources: the keys of the fleet file's `[[instance]]`."""

    source: list[SourceDeclared] = []


class FleetAsked(Asked):
    """A whole fleet, with the keys of the fleet file. References (env:, file:) are not read."""

    instance: list[InstanceDeclared] = []
    destination: list[DestinationAsked] = []
    route: list[RouteAsked] = []
