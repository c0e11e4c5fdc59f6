"""Which deliveries a change in bulk means: by id, or by what they have in common."""

from typing import Annotated

import msgspec
import typer

from comporta.cli.moments import since_ms
from comporta.cli.names import Names, number
from comporta.domain.delivery import DeliveryState
from comporta.i18n import _
from comporta.ledger.port import DeliveryFilter
from comporta.operating import selection
from comporta.operating.selection import Selection

Ids = Annotated[list[str] | None, typer.Argument(metavar="[DLV]...", help=_("Ids of deliveries."))]
Event = Annotated[
    str | None, typer.Option(metavar="EVT", help=_("Only of the event with this id."))
]
Destination = Annotated[str | None, typer.Option(help=_("Only to this destination."))]
Instance = Annotated[str | None, typer.Option(help=_("Only of this instance."))]
EventType = Annotated[
    str | None, typer.Option("--type", help=_("Only of this type: message_created, …"))
]
Route = Annotated[str | None, typer.Option(help=_("Only by this route."))]
FailedWith = Annotated[
    str | None,
    typer.Option("--failed-with", metavar="TEXT", help=_("Only with this text in the reason.")),
]
Since = Annotated[str | None, typer.Option(help=_("Only since then: 45s, 30m, 2h, 7d, or a date."))]
Until = Annotated[str | None, typer.Option(help=_("Only before then: 30m, 2h, 7d, or a date."))]
All = Annotated[bool, typer.Option("--all", help=_("All there are."))]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=_("Do not ask."))]
IDS_MAX = 1000


class Wanted(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    deliveries: tuple[str, ...] = ()
    state: DeliveryState | None = None
    event: str | None = None
    destination: str | None = None
    instance: str | None = None
    event_type: str | None = None
    route: str | None = None
    reason: str | None = None
    since: str | None = None
    until: str | None = None


def filter_of(wanted: Wanted, names: Names, now_ms: int) -> DeliveryFilter:
    """The same for the ledger.

    Raises:
        typer.BadParameter: an id or a moment cannot be understood.
        NotFoundError: a name does not exist.
    """
    which = Selection(
        state=wanted.state,
        event_id=number("evt", wanted.event) if wanted.event else None,
        delivery_ids=tuple(dict.fromkeys(number("dlv", text) for text in wanted.deliveries)),
        destination=wanted.destination,
        instance=wanted.instance,
        event_type=wanted.event_type,
        route=wanted.route,
        since_ms=since_ms(wanted.since, now_ms) if wanted.since else None,
        until_ms=since_ms(wanted.until, now_ms) if wanted.until else None,
        reason=wanted.reason,
    )
    return selection.filter_of(which, names)


def check_chosen(wanted: Wanted, *, every: bool) -> None:
    """Everything is never chosen by accident.

    Raises:
        typer.BadParameter: nothing was chosen, or both ways at once.
    """
    common = [
        value for name, value in msgspec.structs.asdict(wanted).items() if name != "deliveries"
    ]
    chosen = every or any(common)
    if wanted.deliveries and chosen:
        raise typer.BadParameter(_("Choose either by id or by options, not both."))
    if not wanted.deliveries and not chosen:
        raise typer.BadParameter(_("Say which: ids of deliveries, or an option; --all for all."))
    if len(wanted.deliveries) > IDS_MAX:
        raise typer.BadParameter(_("At most {max} ids at once.").format(max=IDS_MAX))
