"""Which deliveries `redrive` and `replay` mean: by id, or by what they have in common."""

from typing import Annotated

import msgspec
import typer

from comporta.cli.moments import since_ms
from comporta.cli.names import Names, number
from comporta.domain.delivery import DeliveryState
from comporta.i18n import _
from comporta.ledger.port import DeliveryFilter
from comporta.operating.selection import Selection, filter_of

Ids = Annotated[list[str] | None, typer.Argument(metavar="[DLV]...", help=_("Ids of deliveries."))]
All = Annotated[bool, typer.Option("--all", help=_("All there are."))]
Yes = Annotated[bool, typer.Option("--yes", "-y", help=_("Do not ask."))]
IDS_MAX = 1000


class Wanted(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    state: DeliveryState | None
    deliveries: tuple[str, ...] = ()
    event: str | None = None
    destination: str | None = None
    instance: str | None = None
    since: str | None = None
    every: bool = False


def filters_of(wanted: Wanted, names: Names, now_ms: int) -> list[DeliveryFilter]:
    """One filter for each id, or a single one for all that have something in common.

    Raises:
        typer.BadParameter: nothing was chosen, or both ways at once.
        NotFoundError: a name does not exist.
    """
    common = (wanted.event, wanted.destination, wanted.instance, wanted.since)
    chosen = any(common) or wanted.every
    if wanted.deliveries and chosen:
        raise typer.BadParameter(_("Choose either by id or by options, not both."))
    if not wanted.deliveries and not chosen:
        raise typer.BadParameter(_("Say which: ids of deliveries, or an option; --all for all."))
    if len(wanted.deliveries) > IDS_MAX:
        raise typer.BadParameter(_("At most {max} ids at once.").format(max=IDS_MAX))
    if wanted.deliveries:
        ids = dict.fromkeys(number("dlv", text) for text in wanted.deliveries)
        return [filter_of(Selection(wanted.state, delivery_id=one), names) for one in ids]
    which = Selection(
        state=wanted.state,
        event_id=number("evt", wanted.event) if wanted.event else None,
        destination=wanted.destination,
        instance=wanted.instance,
        since_ms=since_ms(wanted.since, now_ms) if wanted.since else None,
        every=wanted.every,
    )
    return [filter_of(which, names)]
